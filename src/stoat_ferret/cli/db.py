"""`stoat db`: copies a library to another database."""

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import quiet_settings
from stoat_ferret.cli.text import count

if TYPE_CHECKING:
    from stoat_ferret.moving import CopiedTable

HELP = "Move a library between a data directory and a Postgres database."
COPY_HELP = help_text(
    "Copy a library, with its jobs, to an empty place: a data directory or a Postgres database.",
    "FROM and TO are folders or addresses, as in postgresql://user@host/name. Stop the server first. All ids stay; "
    "thumbnails are made anew when they are wanted. Every row is read back before the copy is kept: what is "
    "interrupted leaves nothing behind. Prints the number of rows and a checksum of each table.",
    examples="stoat db copy ~/.local/share/stoat-ferret postgresql://stoat@db.example/stoat\n"
    "stoat db copy postgresql://stoat@db.example/stoat /srv/stoat --json",
    related="stoat serve, stoat doctor",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=True)
    group.callback()(_group)  # keeps `copy` a command of its own, though it is the only one
    group.command("copy", help=COPY_HELP, short_help="Copy a library to another database.")(copy)
    app.add_typer(group, name="db", short_help="Copy a library to another database.")


def _group() -> None:
    """Have something to hang the commands on."""


def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The data directory or address that holds it.", show_default=False)
    ],
    destination: Annotated[
        str, typer.Argument(metavar="TO", help="The data directory or address to copy it to.", show_default=False)
    ],
    as_json: AsJson = False,
) -> ExitStatus:
    """Copy a library."""
    from stoat_ferret.moving import copy_library

    settings = quiet_settings(None)
    with ExitStack() as shown:
        report = output.phase_report(shown, silent=as_json)
        tables = copy_library(source, destination, lease_seconds=settings.lease_seconds, report=report)
    if as_json:
        output.write_json({"tables": [asdict(table) for table in tables]})
    else:
        _print(tables)
    return ExitStatus.OK


def _print(tables: "list[CopiedTable]") -> None:
    columns = [Column("Database"), Column("Table"), Column("Rows", right=True), Column("Checksum")]
    output.write_table(columns, [(table.database, table.name, str(table.rows), table.checksum) for table in tables])
    output.say(f"Copied and read back: {count(sum(table.rows for table in tables), 'row')}.")
