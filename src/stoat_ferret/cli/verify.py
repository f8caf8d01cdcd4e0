"""`stoat verify` and `stoat manifest`: whether files are still what they were."""

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text, path_argument
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import absolute_path, clean_path, count, moment, size
from stoat_ferret.jobs.model import Job, JobStatus

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime
    from stoat_ferret.scan.verify import VerifyOptions

HELP = help_text(
    "Hash whole files, and find those that were damaged silently.",
    "Reads what was not read yet, and with --check also whether the rest is still what it was, what was checked "
    "longest ago first. A file whose content is another, though its size and time are the same, is damaged; it is "
    "reported and never taken for the new truth. It is a job: it goes on after a crash, and a running server does it "
    "if there is one. Exits with 1 if anything is damaged or could not be read.",
    examples="stoat verify ~/Videos\nstoat verify --check --older-than 90 --max-bytes 500G --rate 50M\n"
    "stoat verify --damaged\nstoat verify --accept 01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3",
    related="stoat manifest, stoat scan, stoat jobs",
)
MANIFEST_HELP = help_text(
    "Print the hashes of a folder's videos, for `b3sum --check`.",
    "A line a file: BLAKE3, two spaces, the path as seen from the folder. Videos that were not hashed yet are left "
    "out, and counted on standard error: `stoat verify` hashes them.",
    examples="stoat manifest ~/Videos > videos.b3\nstoat manifest ~/Videos --output videos.b3",
    related="stoat verify",
)
RESULTS = ("hashed", "verified", "recovered", "damaged", "failed", "skipped")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help=HELP, short_help="Find files that were damaged silently.")(verify)
    app.command(help=MANIFEST_HELP, short_help="Print hashes for b3sum --check.")(manifest)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if found is None or not int(found[1]):
        msg = f"{text!r} is not a number of bytes such as 50M or 2G."
        raise typer.BadParameter(msg)
    return int(found[1]) * UNITS[found[2].upper()]


def verify(
    path: Annotated[Path | None, path_argument("PATH", "A folder or file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Also read again what was hashed before.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, metavar="DAYS", help="Of that, only what was checked longer ago.")
    ] = 0.0,
    rate: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Read no faster, a second: 50M.", show_default=False)
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="BYTES", help="Stop after so much: 500G.", show_default=False)
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Read nothing, list what is damaged.")] = False,
    accept: Annotated[
        str | None, typer.Option(metavar="ID", help="Take a damaged video's content for right.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Verify."""
    from stoat_ferret.api.schemas.job import JobStatusResponse
    from stoat_ferret.scan.verify import VerifyOptions

    options = VerifyOptions(
        place=None if path is None else absolute_path(path),
        mode="check" if check else "new",
        older_than_seconds=older_than * 86_400,
        bytes_per_second=float(_bytes(rate)) if rate else 0.0,
        max_bytes=_bytes(max_bytes) if max_bytes else None,
    )
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        if accept is not None:
            return _accept(runtime, accept)
        if damaged:
            return _list_damaged(runtime, as_json=as_json)
        job = asyncio.run(_follow(runtime, options, silent=as_json))
    if as_json:
        output.write_json(JobStatusResponse.of(job))
    else:
        _print_ending(job)
    return status_after(job)


def status_after(job: Job) -> ExitStatus:
    """Give the exit status for a verification that has ended."""
    if job.status is JobStatus.CANCELLED:
        return ExitStatus.CANCELLED
    result = job.result or {}
    wrong = job.status is not JobStatus.COMPLETE or result["damaged"] or result["failed"]
    return ExitStatus.FAILED if wrong else ExitStatus.OK


async def _follow(runtime: "Runtime", options: "VerifyOptions", *, silent: bool) -> Job:
    from stoat_ferret.api.services.verify import prepare_verify
    from stoat_ferret.cli.following import submit_and_follow

    request = await prepare_verify(options, runtime.settings, runtime.repository)
    return await submit_and_follow(runtime, request, silent=silent)


def _print_ending(job: Job) -> None:
    result = job.result or {}
    if result.get("errors"):
        rows = [(each["path"], each["error"]) for each in result["errors"][:20]]
        output.write_table([Column("Wrong", fold=True), Column("Why", fold=True)], rows)
    if result:
        parts = [f"{result[name]:,} {name}" for name in RESULTS]
        output.write(", ".join(part for part in parts if not part.startswith("0 ")) or "nothing was due")
        output.write(f"{size(result['bytes_read'])} read in {result['duration_seconds']:.1f} s")
        if result.get("left"):
            output.say(f"{count(result['left'], 'file')} ({size(result['left_bytes'])}) left for another time.")
    if job.status is not JobStatus.COMPLETE:
        output.say(f"error: {job.error or job.status.value}")


def _accept(runtime: "Runtime", video_id: str) -> ExitStatus:
    from stoat_ferret.errors import NotDamagedError
    from stoat_ferret.library import fixity

    video = runtime.repository.video(video_id)
    if not fixity.accept(runtime.catalogue, video_id):
        raise NotDamagedError(f"{clean_path(video.path_bytes)} is not damaged: there is nothing to accept.")
    output.write(f"Accepted as it is: {clean_path(video.path_bytes)}")
    return ExitStatus.OK


def _list_damaged(runtime: "Runtime", *, as_json: bool) -> ExitStatus:
    from stoat_ferret.api.schemas.times import from_microseconds_or_none
    from stoat_ferret.api.schemas.verify import DamagedListResponse, DamagedResponse
    from stoat_ferret.library import fixity

    found: list[fixity.Damaged] = []
    while page := fixity.damaged(runtime.catalogue, found[-1].path_bytes if found else b""):
        found += page
    if as_json:
        output.write_json(DamagedListResponse(videos=[DamagedResponse.of(each) for each in found], next_cursor=None))
    elif not found:
        output.say("Nothing is known to be damaged.")
    else:
        rows = [
            (each.video_id, clean_path(each.path_bytes), moment(from_microseconds_or_none(each.checksum.damaged_at)))
            for each in found
        ]
        output.write_table([Column("Video"), Column("Path", fold=True), Column("Since")], rows)
    return ExitStatus.FAILED if found else ExitStatus.OK


def manifest(
    folder: Annotated[Path, path_argument("FOLDER", "A folder of a library.")],
    to: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Print a manifest."""
    from stoat_ferret.library import fixity

    place = absolute_path(folder)
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        without = fixity.count_unhashed(runtime.catalogue, place)
        lines = fixity.manifest(runtime.catalogue, place)
        output.flush()
        if to is None:
            for line in lines:
                sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        else:
            with to.open("wb") as file:
                file.writelines(lines)
    if without:
        output.say(f"{count(without, 'video')} left out: not hashed yet. `stoat verify` does that.")
    return ExitStatus.OK
