"""`stoat maintenance`: does now what is done by night otherwise."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import clean, span
from stoat_ferret.jobs.model import Job, JobStatus

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime

HELP = help_text(
    "Forget old jobs, and check that the databases are sound.",
    "Does now what happens each night (STOAT_MAINTENANCE_SCHEDULE): jobs that ended long ago (STOAT_RETENTION_DAYS) "
    "are forgotten with all that they left but the videos, and both databases are read whole. It is a job like any "
    "other, may have to wait for a scan to end, and can be cancelled by Ctrl-C at any time. Exits with 1 where a "
    "database is damaged, and says what to do.",
    examples="stoat maintenance\nstoat maintenance --json",
    related="stoat schedules, stoat doctor",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Forget old jobs and check the databases now.")(maintenance)


def maintenance(
    detach: Annotated[
        bool, typer.Option("--detach", "--no-wait", help="Print the job's id and leave; a running server does it.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Do it now."""
    from stoat_ferret.api.schemas.job import JobStatusResponse
    from stoat_ferret.cli.scan import status_after

    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(_submit(runtime) if detach else _follow(runtime, silent=as_json))
    if as_json:
        output.write_json(JobStatusResponse.of(job))
    elif detach:
        output.write(job.id)
    else:
        _print_ending(job)
    return ExitStatus.OK if detach else status_after(job, strict=False)


async def _submit(runtime: "Runtime") -> Job:
    from stoat_ferret.api.services.maintenance import maintenance_request
    from stoat_ferret.api.services.requests import ASKED_FOR

    return (await runtime.queue.submit(maintenance_request(runtime.settings, priority=ASKED_FOR))).job


async def _follow(runtime: "Runtime", *, silent: bool) -> Job:
    from stoat_ferret.cli.following import Following

    return await Following(runtime, output.progress_view(silent=silent)).to_end(await _submit(runtime))


def _print_ending(job: Job) -> None:
    result = job.result or {}
    if job.status is JobStatus.COMPLETE:
        seconds = result["duration_seconds"]
        took = f"{seconds:.1f} s" if seconds < 60 else span(seconds)
        output.write(clean(f"{wording.maintenance_counts(result)}; took {took}"))
    if job.status is JobStatus.CANCELLED:
        output.say("Cancelled. What had been done stays done; the next one goes on from there.")
    elif job.status is not JobStatus.COMPLETE:
        output.say(f"error: {job.error or job.status.value}")
