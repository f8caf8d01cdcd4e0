"""`stoat jobs watch`: follows all jobs, or one, for as long as wanted."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.board import Board, draw
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.following import SIGNALS
from stoat_ferret.cli.options import DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.session import canonical_job_id, opened, quiet_settings
from stoat_ferret.cli.text import clean
from stoat_ferret.jobs.model import Job, JobStatus

if TYPE_CHECKING:
    from stoat_ferret.jobs.feed import JobFeed
    from stoat_ferret.runtime import Runtime

PAGE = 200
CLOCK_SECONDS = 1.0
"""How often what only time changes is drawn anew: how long a job has waited, which workers live."""
FRAME_SECONDS = 0.1
"""How often the terminal is drawn at most."""
MOST_PENDING = 100_000

HELP = help_text(
    "Follow jobs while they run, wait and end.",
    "In a terminal it draws them, at once when something changes, until Ctrl-C; to another program it writes a line "
    "whenever a job changes its status: id, type, status, what about. With --json it writes a JSON document a line: "
    "the jobs that have not ended, then every change. With JOB_ID it follows that job and ends with it: with 0 where "
    "it is complete, 1 where it failed, 130 where it was cancelled (or you left by Ctrl-C; the job goes on). Parts of "
    "scans are left out.",
    examples="stoat jobs watch\nstoat jobs watch 01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11\n"
    "stoat jobs watch --json | jq -c '[.job_id, .status, .progress]'",
    related="stoat jobs list, stoat workers",
)


def watch(
    job_id: Annotated[
        str | None, typer.Argument(metavar="JOB_ID", help="Follow this job only.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line for every change.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> ExitStatus:
    """Follow jobs."""
    if job_id is not None:
        with opened(quiet_settings(data_dir, database_url)) as runtime:
            job = asyncio.run(_watch_one(runtime, canonical_job_id(job_id), as_json=as_json))
        return _ending(job, as_json=as_json)
    # Whoever presses Ctrl-C twice, or sends it to the whole group besides, wants nothing else than who does so once.
    with suppress(KeyboardInterrupt), opened(quiet_settings(data_dir, database_url)) as runtime:
        if as_json:
            asyncio.run(_follow_all(runtime, _write_json))
        elif output.in_terminal():
            asyncio.run(_draw_all(runtime))
        else:
            asyncio.run(_follow_all(runtime, _StatusLines()))
    return ExitStatus.OK


def _ending(job: Job, *, as_json: bool) -> ExitStatus:
    from stoat_ferret.cli.scan import status_after

    if not job.status.terminal:
        output.say("Left; the job goes on.")
        return ExitStatus.CANCELLED
    if not as_json:
        result = wording.summary(job) if job.status is JobStatus.COMPLETE else ""
        output.write(clean(": ".join(filter(None, (wording.job_ending(job), result)))))
    return status_after(job, strict=False)


def _feed(runtime: "Runtime") -> "JobFeed":
    """Give a feed that ends at Ctrl-C or SIGTERM."""
    from stoat_ferret.jobs.feed import JobFeed

    feed = JobFeed(runtime.queue, most_pending=MOST_PENDING)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, feed.end)
    return feed


async def _watch_one(runtime: "Runtime", job_id: str, *, as_json: bool) -> Job:
    """Follow a job; gives it as it ended, or as it stands when nobody wants to follow it any more."""
    feed = _feed(runtime)
    try:
        with output.progress_view(silent=as_json) as view:
            async with feed.subscribe(job_id, parts=True) as reader:
                job = await runtime.queue.get(job_id)
                show = _write_json if as_json else (lambda _jobs: None)
                show([job])
                while not job.status.terminal and not reader.over:
                    view.show(job, ending=job.cancel_requested)
                    if changed := [each for each in await reader.take(CLOCK_SECONDS) if each.revision > job.revision]:
                        show(changed)
                        job = changed[-1]
                return job
    finally:
        await feed.close()


async def _follow_all(runtime: "Runtime", show: Callable[[list[Job]], None]) -> None:
    """Show what has not ended, then what changes, until told to end."""
    feed = _feed(runtime)
    try:
        async with feed.subscribe() as reader:
            show(await _unfinished(runtime))
            while not reader.over:
                if changed := await reader.take(CLOCK_SECONDS):
                    show(list(changed))
    finally:
        await feed.close()


def _write_json(jobs: list[Job]) -> None:
    from stoat_ferret.api.schemas.job import JobStatusResponse

    for job in jobs:
        output.write_json_line(JobStatusResponse.of(job))


class _StatusLines:
    """A line whenever a job changes its status."""

    def __init__(self) -> None:
        self._seen: dict[str, JobStatus] = {}

    def __call__(self, jobs: list[Job]) -> None:
        for job in jobs:
            if self._seen.get(job.id) is not job.status:
                self._seen[job.id] = job.status
                output.write("\t".join((job.id, clean(job.type), job.status.value, clean(wording.about(job)))))
            if job.status.terminal:
                del self._seen[job.id]
        output.flush()


async def _draw_all(runtime: "Runtime") -> None:
    """Draw everything, again at each change, until told to end."""
    from rich.live import Live

    screen = output.console(sys.stdout)
    board, feed = Board(), _feed(runtime)
    loop = asyncio.get_running_loop()
    try:
        async with feed.subscribe() as reader:
            board.put(await _unfinished(runtime))
            board.put((await runtime.queue.list(limit=PAGE)).jobs)
            with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
                looked_at = -CLOCK_SECONDS
                while not reader.over:
                    if loop.time() - looked_at >= CLOCK_SECONDS:
                        looked_at = loop.time()
                        board.workers = {worker.id: worker for worker in await runtime.queue.live_workers()}
                    now = time.time_ns() // 1000
                    live.update(draw(board, width=screen.width, height=screen.height, now=now), refresh=True)
                    board.put(await reader.take(CLOCK_SECONDS))
                    await asyncio.sleep(FRAME_SECONDS)
    finally:
        await feed.close()


async def _unfinished(runtime: "Runtime") -> list[Job]:
    """Give the jobs that have not ended, oldest first."""
    found: list[Job] = []
    for status in (JobStatus.RUNNING, JobStatus.PENDING):
        cursor: str | None = None
        while True:
            page = await runtime.queue.list(status=status, cursor=cursor, limit=PAGE)
            found += page.jobs
            cursor = page.next_cursor
            if cursor is None:
                break
    return sorted(found, key=lambda job: job.id)
