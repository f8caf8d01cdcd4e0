"""`stoat scan`: catalogues a folder."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.ledger import ledger_rows
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text, path_argument
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean, clean_path, count
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library.models import Outcome

if TYPE_CHECKING:
    from stoat_ferret.library.repository import LibraryRepository
    from stoat_ferret.runtime import Runtime
    from stoat_ferret.scan.rules import Rules
    from stoat_ferret.scan.scope import ScanOptions

FAILURES_SHOWN = 20

HELP = help_text(
    "Catalogue every video in a folder and below it, or a single file.",
    "Adds what is new, updates what has changed, marks what is gone, and reads nothing of what "
    "is unchanged. Your files are never changed. The scan is a job: it survives a crash, and a running server does it "
    "if there is one on the same data. Prints what was done and why files failed. Ctrl-C cancels it and keeps what has "
    "been stored. "
    "A dry run prints a line a file: + new, ~ changed, > moved, ^ back again, - gone, ? left out, ! failed.",
    examples="stoat scan ~/Videos\nstoat scan ~/Videos/new.mp4\nstoat scan /mnt/archive --dry-run\n"
    "stoat scan /mnt/archive --json --strict",
    related="stoat search, stoat jobs, stoat serve",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Catalogue a folder of videos.")(scan)


def scan(
    folder: Annotated[
        Path,
        path_argument("PATH", "The folder to scan, or a single file."),
    ],
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive/--no-recursive", help="With (the default) or without the folders below it.", show_default=False
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Examine again what is unchanged.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Mark files missing even where so many are gone that a scan stops.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "--no-wait", help="Print the job's id and leave; a running server does it.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a file failed.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Scan a folder."""
    from stoat_ferret.scan.rules import Rules
    from stoat_ferret.scan.scope import ScanOptions

    settings = quiet_settings(data_dir, database_url)
    path = absolute_path(folder)
    options = ScanOptions(path=path, recursive=recursive, force=force, accept_loss=accept_loss, dry_run=dry_run)
    with opened(settings, create=True) as runtime:
        if _is_one_file(path, Rules(settings.video_extensions), runtime.repository):
            above, _, name = path.rpartition(b"/")
            options = replace(options, path=above or b"/", recursive=False, only=name)
        if detach:
            return asyncio.run(_leave(runtime, options, as_json=as_json))
        job = asyncio.run(_follow(runtime, options, silent=as_json))
        if dry_run and not as_json:
            _print_differences(runtime.repository, job)
    if as_json:
        _print_json(job)
    else:
        print_ending(job, dry_run=dry_run)
    return status_after(job, strict=strict)


def _is_one_file(path: bytes, rules: "Rules", repository: "LibraryRepository") -> bool:
    """Tell whether a path is that of a single video, which may be gone.

    Raises:
        InvalidPathError: nothing is there, in a folder that is catalogued, and nothing is known to have been there.
    """
    from stoat_ferret.library import history, traces

    if os.path.exists(path):  # noqa: PTH110 - bytes, which pathlib does not take
        # Of any other file it is said that it is no folder.
        return rules.is_video_name(path.rpartition(b"/")[2]) and os.path.isfile(path)  # noqa: PTH113 - bytes
    library = repository.covering_library(path)
    if library is None or library.path_bytes == path:
        return False
    database = repository.database
    if history.videos_at(database, path) or history.reject_at(database, path):
        return True
    if repository.folder(path) or traces.sample_below(database, path, 1):
        return False
    msg = f"{clean_path(path)} is neither on disk nor in the catalogue. Check the spelling, or mount its disk."
    raise InvalidPathError(msg)


async def _submit(runtime: "Runtime", options: "ScanOptions") -> Job:
    from stoat_ferret.api.services.scan import prepare_scan

    request = await prepare_scan(options, runtime.settings, runtime.repository)
    return (await runtime.queue.submit(request)).job


async def _leave(runtime: "Runtime", options: "ScanOptions", *, as_json: bool) -> ExitStatus:
    job = await _submit(runtime, options)
    if as_json:
        _print_json(job)
    else:
        output.write(job.id)
    if not await runtime.queue.live_workers():
        output.say(wording.NOBODY_RUNS)
    return ExitStatus.OK


async def _follow(runtime: "Runtime", options: "ScanOptions", *, silent: bool) -> Job:
    from stoat_ferret.cli.following import Following

    job = await _submit(runtime, options)
    return await Following(runtime, output.progress_view(silent=silent)).to_end(job)


SIGNS = {
    Outcome.NEW: "+",
    Outcome.UPDATED: "~",
    Outcome.MOVED: ">",
    Outcome.RESTORED: "^",
    Outcome.MISSING: "-",
    Outcome.SKIPPED: "?",
    Outcome.FAILED: "!",
}
"""How a dry run marks what a scan would do."""


def _print_differences(repository: "LibraryRepository", job: Job) -> None:
    """Print what a scan would change, a line a file."""
    for row in ledger_rows(repository, job.id, None):
        if (sign := SIGNS.get(row.outcome)) is None:
            continue
        path = clean_path(row.path_bytes)
        if row.from_path_bytes is not None:
            path = f"{clean_path(row.from_path_bytes)} -> {path}"
        why = "" if row.outcome in (Outcome.NEW, Outcome.UPDATED, Outcome.MOVED) else clean(row.reason or "")
        output.write(f"{sign} {path}" + (f"  ({why})" if why else ""))


def _print_json(job: Job) -> None:
    from stoat_ferret.api.schemas.job import JobStatusResponse

    output.write_json(JobStatusResponse.of(job))


def print_ending(job: Job, *, dry_run: bool) -> None:
    """Print what a scan that has ended did, and say why it did not do more."""
    if (result := job.result) is not None:
        failures = result.get("errors", [])
        rows = [(failure["path"], failure["error"]) for failure in failures[:FAILURES_SHOWN]]
        if rows:
            output.write_table([Column("Failed", fold=True), Column("Why", fold=True)], rows)
        if (more := result.get("failed", 0) - len(rows)) > 0:
            output.say(f"… and {count(more, 'more failure')}: stoat jobs show {job.id} --failed")
        _print_left_out(job.id, result)
        output.write(("Would be done: " if dry_run else "") + wording.scan_counts(result))
        output.write(wording.scan_cost(result))
    if job.status is not JobStatus.COMPLETE:
        output.say(ending_sentence(job))


def _print_left_out(job_id: str, result: dict[str, Any]) -> None:
    rows = [(each["path"], each["reason"]) for each in result.get("left_out", [])[:FAILURES_SHOWN]]
    if rows:
        output.write_table([Column("Left out", fold=True), Column("Why", fold=True)], rows)
    if (more := result.get("skipped", 0) - len(rows)) > 0:
        output.say(f"… and {count(more, 'more')} left out: stoat jobs files {job_id} --outcome skipped")


def ending_sentence(job: Job) -> str:
    """Say why a job did not complete, and what to do."""
    if job.status is JobStatus.CANCELLED:
        return "Cancelled. What had been stored is kept; the next scan goes on from there."
    hint = " With stoat scan, that is --accept-loss." if "accept_loss" in (job.error or "") else ""
    return f"error: {job.error or job.status.value}{hint}"


def status_after(job: Job, *, strict: bool) -> ExitStatus:
    """Give the exit status for a job that has ended."""
    if job.status is JobStatus.CANCELLED:
        return ExitStatus.CANCELLED
    failed = job.status is not JobStatus.COMPLETE or (strict and (job.result or {}).get("failed", 0) > 0)
    return ExitStatus.FAILED if failed else ExitStatus.OK
