"""`stoat worker`: runs jobs."""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import DatabaseUrl, DataDir, LogLevelOption, help_text
from stoat_ferret.cli.session import opened, refuse_unsafe_media

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime

NICENESS = 10

HELP = help_text(
    "Run jobs until told to stop.",
    "`stoat serve` and `stoat scan` start a worker by themselves; further ones are for machines with more to give, and "
    "with a Postgres database for further machines. Ends at Ctrl-C or SIGTERM and hands back what it has not finished. "
    "Prints nothing but its log.",
    examples="stoat worker\nstoat worker --data-dir /srv/stoat\n"
    "stoat worker --database-url postgresql://stoat@db/stoat --root /footage=/mnt/nas/footage",
    related="stoat serve, stoat jobs",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Run jobs until told to stop.")(worker)


def worker(
    supervised: Annotated[
        bool, typer.Option("--supervised", hidden=True, help="Also stop at the end of standard input.")
    ] = False,
    roots: Annotated[
        list[str] | None,
        typer.Option(
            "--root",
            metavar="PATH[=HERE]",
            help="A folder that this machine reaches, and where it lies here if elsewhere; may be given several times. "
            "Default: STOAT_WORKER_ROOTS, else every folder.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the log as JSON, a line each, for programs.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    log_level: LogLevelOption = None,
) -> ExitStatus:
    """Run jobs in this process."""
    from stoat_ferret.settings import load_settings

    step_back()
    log_format = "json" if as_json else None
    settings = load_settings(
        data_dir=data_dir,
        database_url=database_url,
        worker_roots=tuple(roots) if roots else None,
        log_level=log_level,
        log_format=log_format,
    )
    if not supervised:  # whoever supervises has looked
        refuse_unsafe_media(settings)
    with opened(settings, create=True) as runtime:
        runtime.forks.warm()  # so that the first scan, too, begins at once
        asyncio.run(_work(runtime, supervised=supervised))
    return ExitStatus.OK


def step_back() -> None:
    """Let people's programs come first: lower this process's priority for processor and disk, if the system lets it."""
    import psutil

    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError, AttributeError, ValueError, psutil.Error):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


async def _work(runtime: "Runtime", *, supervised: bool) -> None:
    from stoat_ferret.jobs.supervisor import stop_at_eof, stop_at_signals

    stop = asyncio.Event()
    watch: asyncio.Task[None] | None = None
    if supervised:
        watch = asyncio.create_task(stop_at_eof(stop))
        watch.add_done_callback(lambda _: stop.set())  # also when it fails
    else:
        stop_at_signals(stop)
    try:
        finished = await runtime.worker().run(stop)
    finally:
        stop.set()
    if watch is not None:
        await watch
    if not finished:
        # A thread still works on a job that this process has given up; the interpreter would wait for it for ever.
        os._exit(ExitStatus.FAILED)
