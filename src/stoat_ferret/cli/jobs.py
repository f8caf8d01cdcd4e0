"""`stoat jobs`: lists jobs, shows one, cancels one."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import canonical_job_id, opened, quiet_settings
from stoat_ferret.cli.text import clean_path, moment
from stoat_ferret.jobs.model import Job, JobPage, JobStatus

if TYPE_CHECKING:
    from stoat_ferret.library.models import LedgerRow
    from stoat_ferret.library.repository import LibraryRepository

PAGE = 200

HELP = "See what the library's jobs do and did, and cancel one."
LIST_HELP = help_text(
    "List jobs, newest first.",
    "Prints a table; to another program, a line a job: id, type, status, when it was created, what about.",
    examples="stoat jobs list\nstoat jobs list --status running\nstoat jobs list --type scan --limit 5 --json",
    related="stoat jobs show, stoat jobs cancel",
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

JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="The job's id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=True)
    group.command("list", help=LIST_HELP, short_help="List jobs, newest first.")(list_jobs)
    group.command("show", help=SHOW_HELP, short_help="Show one job.")(show_job)
    group.command("cancel", help=CANCEL_HELP, short_help="Tell a job to end.")(cancel_job)
    app.add_typer(group, name="jobs", short_help="List, show and cancel jobs.")


def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs that stand so.", show_default=False)] = None,
    job_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type, as scan.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, metavar="N", help="Jobs at most.")] = 20,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """List jobs."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        page = asyncio.run(runtime.queue.list(status=status, job_type=job_type, limit=limit))
    if as_json:
        _print_page_json(page)
    else:
        _print_page(page)
    return ExitStatus.OK


def _print_page_json(page: JobPage) -> None:
    from stoat_ferret.api.schemas.job import JobListResponse, JobStatusResponse

    jobs = [JobStatusResponse.of(job) for job in page.jobs]
    output.write_json(JobListResponse(jobs=jobs, next_cursor=page.next_cursor))


def _print_page(page: JobPage) -> None:
    if not page.jobs:
        output.say("There are no such jobs.")
        return
    columns = [Column("Id"), Column("Type"), Column("Status"), Column("Created"), Column("About", fold=True)]
    rows = [(job.id, job.type, job.status.value, _created(job), _about(job)) for job in page.jobs]
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
        rows = _failed_files(runtime.repository, job.id) if failed else []
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
            ("About", _about(job)),
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


def _about(job: Job) -> str:
    switches = [f"--{name.replace('_', '-')}" for name in ("force", "accept_loss", "dry_run") if job.payload.get(name)]
    if job.payload.get("recursive") is False:
        switches.append("--no-recursive")
    return " ".join([str(job.payload.get("path", "")), *switches]).strip()


def _failed_files(repository: "LibraryRepository", job_id: str) -> "list[LedgerRow]":
    from stoat_ferret.library import ledger
    from stoat_ferret.library.models import Outcome

    rows: list[LedgerRow] = []
    cursor: str | None = None
    while True:
        some, cursor = ledger.page(repository.database, job_id, outcome=Outcome.FAILED, cursor=cursor, limit=PAGE)
        rows += some
        if cursor is None:
            return rows


def _print_failed(rows: "list[LedgerRow]", *, as_json: bool) -> None:
    from stoat_ferret.api.schemas.job import LedgerEntry, LedgerResponse

    if as_json:
        output.write_json(LedgerResponse(files=[LedgerEntry.of(row) for row in rows], next_cursor=None))
        return
    columns = [Column("Failed", fold=True), Column("Why", fold=True)]
    output.write_table(columns, [(clean_path(row.path_bytes), row.reason or row.code or "unknown") for row in rows])
