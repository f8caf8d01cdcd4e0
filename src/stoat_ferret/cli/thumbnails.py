"""`stoat thumbnails`: pictures made before anybody looks."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text, path_argument
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, size
from stoat_ferret.jobs.model import Job, JobStatus

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime
    from stoat_ferret.scan.thumbnails import ThumbnailOptions

HELP = help_text(
    "Make the pictures of videos before anybody looks at them.",
    "Makes the one that lists show, of every video of a folder, or of all, that has none yet. It is a job: it gives "
    "way to scans, goes on after a crash with what is lacking, and a running server does it if there is one. A file "
    "that holds no picture, or that twice ended the process which read it, is told with the reason and left alone "
    "until it changes; --retry tries it again. With STOAT_THUMBNAILS=after_scan it is done after each scan by itself.",
    examples="stoat thumbnails\nstoat thumbnails ~/Videos\nstoat thumbnails --retry ~/Videos/2024 --json",
    related="stoat scan, stoat serve, stoat jobs",
)
RESULTS = {"made": "made", "present": "there already", "without_picture": "without a picture", "failed": "failed"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Make pictures before anybody looks.")(thumbnails)


def thumbnails(
    path: Annotated[Path | None, path_argument("PATH", "A folder or file.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what was found to have no picture.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Make pictures."""
    from stoat_ferret.api.schemas.job import JobStatusResponse
    from stoat_ferret.scan.thumbnails import ThumbnailOptions

    options = ThumbnailOptions(place=None if path is None else absolute_path(path), retry=retry)
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        job = asyncio.run(_follow(runtime, options, silent=as_json))
    if as_json:
        output.write_json(JobStatusResponse.of(job))
    else:
        _print_ending(job)
    if job.status is JobStatus.CANCELLED:
        return ExitStatus.CANCELLED
    return ExitStatus.OK if job.status is JobStatus.COMPLETE else ExitStatus.FAILED


async def _follow(runtime: "Runtime", options: "ThumbnailOptions", *, silent: bool) -> Job:
    from stoat_ferret.api.services.thumbnails import prepare_thumbnails
    from stoat_ferret.cli.following import submit_and_follow

    request = await prepare_thumbnails(options, runtime.settings, runtime.repository)
    return await submit_and_follow(runtime, request, silent=silent)


def _print_ending(job: Job) -> None:
    result = job.result or {}
    if result.get("errors"):
        rows = [(each["path"], each["error"]) for each in result["errors"][:20]]
        output.write_table([Column("No picture of", fold=True), Column("Why", fold=True)], rows)
    if result:
        parts = [f"{result[name]:,} {words}" for name, words in RESULTS.items() if result[name]]
        output.write(", ".join(parts) or "there is no video to make a picture of")
        output.write(f"{size(result['bytes_read'])} read in {result['duration_seconds']:.1f} s")
    if job.status is not JobStatus.COMPLETE:
        output.say(f"error: {job.error or job.status.value}")
