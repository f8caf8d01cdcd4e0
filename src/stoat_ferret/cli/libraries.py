"""`stoat libraries`: lists the folders that are kept catalogued, and sets what may be set of one."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean_path, moment
from stoat_ferret.errors import LibraryNotFoundError

if TYPE_CHECKING:
    from stoat_ferret.library.models import Library
    from stoat_ferret.library.repository import LibraryRepository

HELP = "See which folders are kept catalogued, and set when they are scanned; without a command: list them."
LIST_HELP = help_text(
    "List the libraries, by path.",
    "A library is a folder that was scanned; scanning one that none covers makes one. Prints a table; to another "
    "program, a line a library: id, name, folder, videos, state, schedule, last scan.",
    examples="stoat libraries\nstoat libraries list --json",
    related="stoat libraries set, stoat scan, stoat schedules",
)
SET_HELP = help_text(
    "Set a library's schedule, name, or how much of it a scan may lose.",
    "What is not given stays. A schedule is a line of cron in this machine's time: minute, hour, day of the month, "
    "month, day of the week. Its scans run in any worker, that of `stoat serve` for one, and what was missed while "
    "none ran is made up for once. Prints the library as it then is.",
    examples='stoat libraries set ~/Videos --schedule "0 3 * * *"\nstoat libraries set ~/Videos --no-schedule\n'
    'stoat libraries set /mnt/archive --name "The archive" --max-loss-fraction 0.1',
    related="stoat libraries list, stoat schedules",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, rich_markup_mode=None)
    group.callback(invoke_without_command=True)(_list_by_default)
    group.command("list", help=LIST_HELP, short_help="List the libraries.")(list_libraries)
    group.command("set", help=SET_HELP, short_help="Set a library's schedule, name or limit.")(set_library)
    app.add_typer(group, name="libraries", short_help="List libraries, and set their schedules.")


def _list_by_default(
    context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> ExitStatus:
    if context.invoked_subcommand is None:
        return list_libraries(as_json, data_dir, database_url)
    return ExitStatus.OK


def list_libraries(as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> ExitStatus:
    """List the libraries."""
    from stoat_ferret.api.schemas.library import LibraryListResponse, LibraryResponse

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        found = runtime.repository.libraries()
    if as_json:
        output.write_json(LibraryListResponse(libraries=[LibraryResponse.of(library) for library in found]))
    elif not found:
        output.say("There is no library yet. `stoat scan FOLDER` makes one.")
    elif output.in_terminal():
        columns = [Column("Name", fold=True), Column("Folder", fold=True), Column("Videos", right=True)]
        columns += [Column("State"), Column("Schedule"), Column("Last scan", fold=True)]
        output.write_table(columns, [_cells(library)[1:] for library in found])
    else:
        output.write_table([Column("")] * 7, map(_cells, found))
    return ExitStatus.OK


def set_library(
    which: Annotated[
        str, typer.Argument(metavar="ID_OR_FOLDER", help="The library's id, or its folder.", show_default=False)
    ],
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="CRON", help="When it is scanned by itself.", show_default=False)
    ] = None,
    no_schedule: Annotated[bool, typer.Option("--no-schedule", help="Scan it when asked to only.")] = False,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What it is called.", show_default=False)] = None,
    max_loss_fraction: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="X", help="A scan that would lose a larger part stops and asks.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Set what is given."""
    from stoat_ferret.api.schemas.library import LibraryResponse

    given = _given(schedule, name, max_loss_fraction, no_schedule=no_schedule)
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        library = runtime.repository.update_library(_find(runtime.repository, which).id, **given)
        # Known at once, not only when a worker looks next: until then the moment might have passed.
        asyncio.run(runtime.scheduler().align())
    if as_json:
        output.write_json(LibraryResponse.of(library))
    else:
        output.write_facts(_facts(library))
    return ExitStatus.OK


def _given(
    schedule: str | None, name: str | None, max_loss_fraction: float | None, *, no_schedule: bool
) -> dict[str, Any]:
    """Give what was given, checked."""
    from stoat_ferret.jobs import cron

    given: dict[str, Any] = {}
    if schedule is not None:
        if no_schedule:
            raise typer.BadParameter("Give either --schedule or --no-schedule.")
        cron.check(schedule)
        given["schedule"] = schedule.strip()
    if no_schedule:
        given["schedule"] = None
    if name is not None:
        if not name.strip() or not name.isprintable() or len(name) > 200:
            raise typer.BadParameter("A name is a line of 1 to 200 characters.", param_hint="--name")
        given["name"] = name.strip()
    if max_loss_fraction is not None:
        given["max_loss_fraction"] = max_loss_fraction
    if not given:
        raise typer.BadParameter("Nothing to set. Give --schedule, --no-schedule, --name or --max-loss-fraction.")
    return given


def _find(repository: "LibraryRepository", which: str) -> "Library":
    try:
        return repository.library(str(UUID(which)))
    except ValueError:
        path = absolute_path(which)
    for library in repository.libraries():
        if library.path_bytes in (path, os.path.realpath(path)):
            return library
    msg = f"{clean_path(path)} is not the folder of a library. `stoat libraries` lists them."
    raise LibraryNotFoundError(msg)


def _facts(library: "Library") -> list[tuple[str, str | None]]:
    names = ("Id", "Name", "Folder", "Videos", "State", "Schedule", "Last scan")
    loss = f"a scan that would lose more than {library.max_loss_fraction:.0%} of it stops and asks"
    return [*zip(names, _cells(library), strict=True), ("Loss", loss)]


def _cells(library: "Library") -> tuple[str, ...]:
    from stoat_ferret.api.schemas.times import from_microseconds_or_none

    return (
        library.id,
        library.name,
        clean_path(library.path_bytes),
        f"{library.video_count:,}",
        library.state,
        library.schedule or "",
        moment(from_microseconds_or_none(library.last_scan_at)),
    )
