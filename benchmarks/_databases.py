"""The databases on which something is measured: files in a folder, and a Postgres, given or started for it."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres import postgres_server

ENGINES = ("sqlite", "postgres")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let the caller choose."""
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    parser.add_argument("--url", help="a Postgres database, which may be filled; without: one that is started for this")


def chosen(args: argparse.Namespace) -> list[str]:
    """Give the kinds of database that were asked for."""
    return list(ENGINES) if args.engine == "both" else [args.engine]


@contextmanager
def address(engine: str, given: str | None) -> Iterator[str | None]:
    """Give the address of a database; None for files in a data directory."""
    if engine == "sqlite" or given is not None:
        yield given if engine == "postgres" else None
        return
    with postgres_server() as server, server.database() as url:
        yield url.render_as_string(hide_password=False)
