"""`stoat libraries`: lists the folders that are kept catalogued, and sets what may be set of one."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text, path_argument
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean, clean_path, moment
from stoat_ferret.errors import LibraryNotFoundError

if TYPE_CHECKING:
    from stoat_ferret.library.models import Library
    from stoat_ferret.library.repository import LibraryRepository

HELP = "See which folders are kept catalogued, and set how; without a command: list them."
LIST_HELP = help_text(
    "List the libraries, by path.",
    "A library is a folder that was scanned; scanning one that none covers makes one. Prints a table; to another "
    "program, a line a library: id, name, folder, videos, state, schedule, last scan.",
    examples="stoat libraries\nstoat libraries list --json",
    related="stoat libraries set, stoat scan, stoat schedules",
)
ADD_HELP = help_text(
    "Keep a folder catalogued from now on.",
    "Nothing is scanned yet. Inside another library it takes over what that one knows there. What may be set later "
    "with `stoat libraries set` may be set here. Prints the library.",
    examples='stoat libraries add ~/Videos\nstoat libraries add /mnt/archive --name "The archive" --ignore "proxies/"',
    related="stoat libraries set, stoat scan",
)
REMOVE_HELP = help_text(
    "Forget a library with all its entries.",
    "No file is touched. Asks before it does so on a terminal, unless --yes is given. Prints how many entries "
    "went; with --json the library as it was.",
    examples="stoat libraries remove /mnt/archive\nstoat libraries remove /mnt/archive --yes",
    related="stoat libraries list, stoat libraries purge",
)
PURGE_HELP = help_text(
    "Forget entries of a library whose files are missing.",
    "All, or those that are missing for longer than so many days; none of a library that is offline. Puts a job on the "
    "queue and prints its id; a worker does it, as `stoat serve` has one.",
    examples="stoat libraries purge ~/Videos\nstoat libraries purge ~/Videos --older-than-days 30",
    related="stoat libraries set, stoat jobs watch",
)
SET_HELP = help_text(
    "Set a library's schedule, name, rules, or how much of it a scan may lose.",
    "What is not given stays. A schedule is a line of cron in this machine's time: minute, hour, day of the month, "
    "month, day of the week. Its scans run in any worker, that of `stoat serve` for one, and what was missed while "
    "none ran is made up for once. Prints the library as it then is.",
    examples='stoat libraries set ~/Videos --schedule "0 3 * * *"\nstoat libraries set ~/Videos --watch\n'
    'stoat libraries set /mnt/archive --name "The archive" --max-loss-fraction 0.1\n'
    'stoat libraries set ~/Videos --ignore "proxies/" --ignore "*.tmp.mov" --keep-missing-days 90',
    related="stoat libraries list, stoat schedules",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, rich_markup_mode=None)
    group.callback(invoke_without_command=True)(_list_by_default)
    group.command("list", help=LIST_HELP, short_help="List the libraries.")(list_libraries)
    group.command("add", help=ADD_HELP, short_help="Keep a folder catalogued.")(add_library)
    group.command("set", help=SET_HELP, short_help="Set a library's schedule, name, rules or limit.")(set_library)
    group.command("remove", help=REMOVE_HELP, short_help="Forget a library.")(remove_library)
    group.command("purge", help=PURGE_HELP, short_help="Forget what is missing in one.")(purge_library)
    app.add_typer(group, name="libraries", short_help="List libraries, and set how they are kept.")


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


Which = Annotated[
    str, typer.Argument(metavar="ID_OR_FOLDER", help="The library's id, or its folder.", show_default=False)
]
ScheduleOption = Annotated[
    str | None, typer.Option("--schedule", metavar="CRON", help="When it is scanned by itself.", show_default=False)
]
NoSchedule = Annotated[bool, typer.Option("--no-schedule", help="Scan it when asked to only.")]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What it is called.", show_default=False)
]
LossOption = Annotated[
    float | None,
    typer.Option(
        "--max-loss-fraction",
        min=0,
        max=1,
        metavar="X",
        help="A scan that would lose a larger part stops and asks.",
        show_default=False,
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="PATTERN", help="Leave out what matches; may be repeated.", show_default=False),
]
NoIgnore = Annotated[bool, typer.Option("--no-ignore", help="Leave out only what the default rules and files say.")]
SettleOption = Annotated[
    float | None,
    typer.Option(
        "--settle-seconds", min=0, max=3600, metavar="N", help="How old a file must be to count as written.",
        show_default=False,
    ),
]  # fmt: skip
KeepOption = Annotated[
    float | None,
    typer.Option(
        "--keep-missing-days", min=0, metavar="N", help="Forget what is missing for longer; 0: never.",
        show_default=False,
    ),
]  # fmt: skip

WatchOption = Annotated[
    bool | None,
    typer.Option("--watch/--no-watch", help="Scan what changes in it by itself, or not.", show_default=False),
]
LinksOption = Annotated[
    bool | None,
    typer.Option(
        "--follow-symlinks/--no-follow-symlinks",
        help="Take what symbolic links lead to as if it lay there, or not.",
        show_default=False,
    ),
]


def add_library(
    folder: Annotated[Path, path_argument("FOLDER", "The folder.")],
    schedule: ScheduleOption = None,
    name: NameOption = None,
    max_loss_fraction: LossOption = None,
    ignore: IgnoreOption = None,
    settle_seconds: SettleOption = None,
    keep_missing_days: KeepOption = None,
    watch: WatchOption = None,
    follow_symlinks: LinksOption = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Make a library."""
    from stoat_ferret.api.services.libraries import make

    given = _given(schedule, name, max_loss_fraction, ignore, settle_seconds, keep_missing_days)
    given |= _switches(watch=watch, follow_symlinks=follow_symlinks)
    with opened(quiet_settings(data_dir, database_url), create=True) as runtime:
        library = asyncio.run(make(absolute_path(folder), given, runtime.settings, runtime.queue, runtime.repository))
        asyncio.run(runtime.scheduler().align())
    _show(library, as_json=as_json)
    return ExitStatus.OK


def set_library(
    which: Which,
    schedule: ScheduleOption = None,
    no_schedule: NoSchedule = False,
    name: NameOption = None,
    max_loss_fraction: LossOption = None,
    ignore: IgnoreOption = None,
    no_ignore: NoIgnore = False,
    settle_seconds: SettleOption = None,
    keep_missing_days: KeepOption = None,
    watch: WatchOption = None,
    follow_symlinks: LinksOption = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Set what is given."""
    if schedule is not None and no_schedule:
        raise typer.BadParameter("Give either --schedule or --no-schedule.")
    if ignore and no_ignore:
        raise typer.BadParameter("Give either --ignore or --no-ignore.")
    given = _given(schedule, name, max_loss_fraction, ignore, settle_seconds, keep_missing_days)
    given |= _switches(watch=watch, follow_symlinks=follow_symlinks)
    given |= ({"schedule": None} if no_schedule else {}) | ({"ignore": ()} if no_ignore else {})
    if not given:
        raise typer.BadParameter("Nothing to set. Give --schedule, --name, --ignore, or what else --help tells.")
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        library = runtime.repository.update_library(_find(runtime.repository, which).id, **given)
        # Known at once, not only when a worker looks next: until then the moment might have passed.
        asyncio.run(runtime.scheduler().align())
    _show(library, as_json=as_json)
    return ExitStatus.OK


def remove_library(
    which: Which,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Forget a library."""
    from stoat_ferret.api.schemas.library import LibraryResponse
    from stoat_ferret.api.services.libraries import remove

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        library = _find(runtime.repository, which)
        shown = f"{clean_path(library.path_bytes)} with {library.video_count:,} entries"
        if not yes and output.in_terminal() and not typer.confirm(f"Forget {shown}? No file is touched."):
            return ExitStatus.CANCELLED
        asyncio.run(remove(library.id, runtime.queue, runtime.repository))
        asyncio.run(runtime.scheduler().align())
    if as_json:
        output.write_json(LibraryResponse.of(library))
    else:
        output.write(f"Forgotten: {shown}.")
    return ExitStatus.OK


def purge_library(
    which: Which,
    older_than_days: Annotated[
        float, typer.Option("--older-than-days", min=0, metavar="N", help="Only what is missing for longer.")
    ] = 0.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Submit a purge."""
    from stoat_ferret.api.schemas.job import JobStatusResponse
    from stoat_ferret.api.services.libraries import purge_request

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        request = purge_request(_find(runtime.repository, which), older_than_days, runtime.settings)
        job = asyncio.run(runtime.queue.submit(request)).job
        idle = not asyncio.run(runtime.queue.live_workers())
    if as_json:
        output.write_json(JobStatusResponse.of(job))
    else:
        output.write(job.id)
    if idle:
        output.say(wording.NOBODY_RUNS)
    return ExitStatus.OK


def _show(library: "Library", *, as_json: bool) -> None:
    from stoat_ferret.api.schemas.library import LibraryResponse

    if as_json:
        output.write_json(LibraryResponse.of(library))
    else:
        output.write_facts(_facts(library))


def _given(
    schedule: str | None,
    name: str | None,
    max_loss_fraction: float | None,
    ignore: list[str] | None,
    settle_seconds: float | None,
    keep_missing_days: float | None,
) -> dict[str, Any]:
    """Give what was given, checked."""
    from stoat_ferret.api.schemas.library import checked_patterns
    from stoat_ferret.jobs import cron

    given: dict[str, Any] = {"max_loss_fraction": max_loss_fraction, "settle_seconds": settle_seconds}
    if schedule is not None:
        cron.check(schedule)
        given["schedule"] = schedule.strip()
    if name is not None:
        if not name.strip() or not name.isprintable() or len(name) > 200:
            raise typer.BadParameter("A name is a line of 1 to 200 characters.", param_hint="--name")
        given["name"] = name.strip()
    if ignore:
        try:
            given["ignore"] = tuple(checked_patterns(ignore))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--ignore") from error
    given = {field: value for field, value in given.items() if value is not None}
    return given | ({} if keep_missing_days is None else {"keep_missing_days": keep_missing_days or None})


def _switches(**given: bool | None) -> dict[str, bool]:
    return {field: value for field, value in given.items() if value is not None}


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
    kept = "for ever" if library.keep_missing_days is None else f"{library.keep_missing_days:g} days"
    rules = [("Ignored", "  ".join(map(clean, library.ignore)))] if library.ignore else []
    settled = f"a file counts as written {library.settle_seconds:g} s after its last change"
    watched = [("Watched", _watched(library))] if library.watch else []
    links = [("Links", "symbolic links are followed")] if library.follow_symlinks else []
    more = [("Loss", loss), *watched, *links, *rules, ("Settling", settled), ("Missing", f"kept {kept}")]
    return [*zip(names, _cells(library), strict=True), *more]


def _watched(library: "Library") -> str:
    by = {
        "events": "the file system tells of changes",
        "polling": f"by scans every so often: {library.watching_reason}",
        None: "as soon as a worker looks",
    }
    return by[library.watching]


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
