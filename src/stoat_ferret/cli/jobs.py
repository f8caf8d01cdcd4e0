"""`stoat jobs`: lists jobs, shows one, cancels, retries and deletes one."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import ledger, output, watch, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.ledger import ledger_rows
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import canonical_job_id, opened, quiet_settings
from stoat_ferret.cli.text import clean_path, moment
from stoat_ferret.jobs.model import Job, JobPage, JobStatus, Submission
from stoat_ferret.library.models import LedgerRow, Outcome

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime

PAGE = 200

HELP = "See what the library's jobs do and did; cancel, retry and delete them."
LIST_HELP = help_text(
    "List jobs, newest first.",
    "Prints a table; to another program, a line a job: id, type, status, when it was created, what about. Parts of a "
    "scan are left out, unless asked for.",
    examples="stoat jobs list\nstoat jobs list --status running\nstoat jobs list --type scan --limit 5 --json\n"
    "stoat jobs list --parent JOB_ID",
    related="stoat jobs watch, stoat jobs show",
)
SHOW_HELP = help_text(
    "Show a job: how far it is, what it did, why it failed.",
    "With --failed it prints every file that failed, and why.",
    examples="stoat jobs show 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11\nstoat jobs show JOB_ID --failed\n"
    "stoat jobs show JOB_ID --json",
    related="stoat jobs list, stoat jobs cancel",
)
CANCEL_HELP = help_text(
    "Tell a job to end.",
    "One that waits ends at once. One that runs ends within a moment, and what it has stored is kept. Prints how the "
    "job then stands.",
    examples="stoat jobs cancel 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11",
    related="stoat jobs show",
)

RETRY_HELP = help_text(
    "Do again what a job did not complete.",
    "Of one that failed, timed out or was cancelled, under the settings of now. Prints the id of the new job, or of an "
    "equal one that waits already; a worker does it, as `stoat serve` has one.",
    examples="stoat jobs retry 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11\nstoat jobs watch $(stoat jobs retry JOB_ID)",
    related="stoat jobs watch, stoat jobs list",
)
DELETE_HELP = help_text(
    "Forget a job that has ended, and what it noted about each file.",
    "The videos that it has found stay. Jobs that ended a month ago are forgotten by themselves. Prints the id, or "
    "with --json the job as it was.",
    examples="stoat jobs delete 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11",
    related="stoat jobs cancel, stoat maintenance",
)

JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=True)
    group.command("list", help=LIST_HELP, short_help="List jobs, newest first.")(list_jobs)
    group.command("show", help=SHOW_HELP, short_help="Show one job.")(show_job)
    group.command("files", help=ledger.HELP, short_help="Say what a scan did to each file.")(ledger.files)
    group.command("watch", help=watch.HELP, short_help="Follow jobs while they run.")(watch.watch)
    group.command("cancel", help=CANCEL_HELP, short_help="Tell a job to end.")(cancel_job)
    group.command("retry", help=RETRY_HELP, short_help="Do again what a job did not complete.")(retry_job)
    group.command("delete", help=DELETE_HELP, short_help="Forget a job that has ended.")(delete_job)
    app.add_typer(group, name="jobs", short_help="List, follow, cancel, retry and delete jobs.")


def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs that stand so.", show_default=False)] = None,
    job_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type, as scan.", show_default=False)
    ] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="JOB_ID", help="The parts of this job instead.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, metavar="N", help="Jobs at most.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """List jobs."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        page, counted = asyncio.run(_page(runtime, status, job_type, parent, limit))
    if as_json:
        _print_page_json(page, *counted)
    else:
        _print_page(page)
    return ExitStatus.OK


async def _page(
    runtime: "Runtime", status: JobStatus | None, job_type: str | None, parent: str | None, limit: int
) -> tuple[JobPage, tuple[int, bool]]:
    parent_id = None
    if parent is not None:
        parent_id = (await runtime.queue.get(canonical_job_id(parent))).id
    page = await runtime.queue.list(status=status, job_type=job_type, parent_id=parent_id, limit=limit)
    return page, await runtime.queue.count_listed(status=status, job_type=job_type, parent_id=parent_id)


def _print_page_json(page: JobPage, total: int, bounded: bool) -> None:
    from stoat_ferret.api.schemas.job import JobListResponse, JobStatusResponse

    jobs = [JobStatusResponse.of(job) for job in page.jobs]
    shown = JobListResponse(jobs=jobs, next_cursor=page.next_cursor, total=total, total_is_lower_bound=bounded)
    output.write_json(shown)


def _print_page(page: JobPage) -> None:
    if not page.jobs:
        output.say("There are no such jobs.")
        return
    columns = [Column("Id"), Column("Type"), Column("Status"), Column("Created"), Column("About", fold=True)]
    rows = [(job.id, job.type, job.status.value, _created(job), wording.about(job)) for job in page.jobs]
    output.write_table(columns, rows)
    if page.next_cursor is not None:
        output.say(f"The newest {len(page.jobs)} are shown; --limit N shows more.")


def show_job(
    job_id: JobId,
    failed: Annotated[bool, typer.Option("--failed", help="Print the files that failed instead.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Show a job."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(runtime.queue.get(canonical_job_id(job_id)))
        rows = list(ledger_rows(runtime.repository, job.id, Outcome.FAILED)) if failed else []
    if failed:
        _print_failed(rows, as_json=as_json)
    elif as_json:
        _print_json(job)
    else:
        _print_job(job)
    return ExitStatus.OK


def cancel_job(
    job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> ExitStatus:
    """Cancel a job."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(runtime.queue.cancel(canonical_job_id(job_id)))
    if as_json:
        _print_json(job)
    else:
        output.write(wording.job_ending(job))
    return ExitStatus.OK


def retry_job(
    job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> ExitStatus:
    """Retry a job."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        submission = asyncio.run(_retry(runtime, canonical_job_id(job_id)))
        idle = not asyncio.run(runtime.queue.live_workers())
    if as_json:
        _print_json(submission.job)
    else:
        output.write(submission.job.id)
        if submission.joined:
            output.say("An equal job waits already; this is its id.")
        if idle:
            output.say(wording.NOBODY_RUNS)
    return ExitStatus.OK


async def _retry(runtime: "Runtime", job_id: str) -> Submission:
    from stoat_ferret.api.services.again import request_anew

    anew = partial(request_anew, settings=runtime.settings, repository=runtime.repository)
    return await runtime.queue.retry(job_id, anew)


def delete_job(
    job_id: JobId, as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> ExitStatus:
    """Delete a job."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(_delete(runtime, canonical_job_id(job_id)))
    if as_json:
        _print_json(job)
    else:
        output.write(job.id)
    return ExitStatus.OK


async def _delete(runtime: "Runtime", job_id: str) -> Job:
    from stoat_ferret.api.services.deletion import delete_job as delete_with_ledger

    job = await runtime.queue.get(job_id)
    await delete_with_ledger(runtime.queue, runtime.catalogue, job_id)
    return job


def _print_json(job: Job) -> None:
    from stoat_ferret.api.schemas.job import JobStatusResponse

    output.write_json(JobStatusResponse.of(job))


def _print_job(job: Job) -> None:
    from stoat_ferret.api.schemas.times import from_microseconds_or_none

    scanned = job.result if job.result is not None and "scanned" in job.result else None
    output.write_facts(
        [
            ("Id", job.id),
            ("Type", job.type),
            ("About", wording.about(job)),
            ("Status", wording.job_ending(job)),
            ("Progress", None if job.status.terminal else wording.progress_facts(job)),
            ("Attempt", str(job.attempt) if job.attempt > 1 else None),
            ("Created", _created(job)),
            ("Started", moment(from_microseconds_or_none(job.started_at))),
            ("Ended", moment(from_microseconds_or_none(job.finished_at))),
            ("Result", wording.scan_counts(scanned) if scanned else None),
            ("Cost", wording.scan_cost(scanned) if scanned else None),
        ]
    )
    if scanned and scanned.get("failed"):
        output.say(f"Which files failed, and why: stoat jobs show {job.id} --failed")


def _created(job: Job) -> str:
    from stoat_ferret.api.schemas.times import from_microseconds

    return moment(from_microseconds(job.created_at))


def _print_failed(rows: list[LedgerRow], *, as_json: bool) -> None:
    from stoat_ferret.api.schemas.job import LedgerEntry, LedgerResponse

    if as_json:
        output.write_json(LedgerResponse(files=[LedgerEntry.of(row) for row in rows], next_cursor=None))
        return
    columns = [Column("Failed", fold=True), Column("Why", fold=True)]
    output.write_table(columns, [(clean_path(row.path_bytes), row.reason or row.code or "unknown") for row in rows])
