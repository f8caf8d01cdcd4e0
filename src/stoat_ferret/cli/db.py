"""`stoat db`: copies a library to another database."""

import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, help_text
from stoat_ferret.cli.output import FIRST_LINE_SECONDS, LINE_SECONDS, Column
from stoat_ferret.cli.session import quiet_settings
from stoat_ferret.cli.text import count

if TYPE_CHECKING:
    from stoat_ferret.moving import CopiedTable, Report

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
        report = _report(shown, silent=as_json)
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


def _report(shown: ExitStack, *, silent: bool) -> "Report":
    """Give what shows how far it is: a bar in a terminal, a line now and then elsewhere, or nothing."""
    if silent:
        return lambda _phase, _done, _total: None
    return _bar(shown) if sys.stderr.isatty() else _Lines().show


def _bar(shown: ExitStack) -> "Report":
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        console=output.console(sys.stderr),
        transient=True,
    )
    task = shown.enter_context(bar).add_task("", total=None)
    return lambda phase, done, total: bar.update(task, description=phase, completed=done, total=total)


class _Lines:
    """Writes a line every few seconds, once it is plain that it takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + FIRST_LINE_SECONDS

    def show(self, phase: str, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            output.say(f"{phase}: {done * 100 // max(total, 1)} %")
