"""Jobs as the page shows them: what runs and waits, what ended last, in words."""

from dataclasses import dataclass
from typing import Any

from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.models import Outcome
from stoat_ferret.web import wording

ACTIVE_SHOWN = 6
ENDED_SHOWN = 5
FAILURES_SHOWN = 20
LOOKED_AT = 40
"""So many of the newest jobs are looked at for the ones that have ended."""

PHASES = {
    "walk": "Listing folders",
    "probe": "Examining files",
    "settle": "Looking for what is gone",
    "thumbnails": "Making pictures",
}
ENDINGS = {
    JobStatus.COMPLETE: "Done",
    JobStatus.FAILED: "Failed",
    JobStatus.TIMEOUT: "Timed out",
    JobStatus.CANCELLED: "Cancelled",
}
COUNTED = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveJob:
    """A job that runs or waits."""

    id: str
    title: str
    running: bool
    ending: bool
    """True once its end was asked for."""
    progress: float | None
    phase: str
    figures: str
    """How much is done, how fast, how long it will take: `4,200 of 10,000 files · 812/s · 7 s left`."""
    current: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """A job that has ended."""

    id: str
    title: str
    status: str
    ending: str
    summary: str
    error: str | None
    finished_at: int | None
    failed: int
    failures: list[dict[str, str]]
    """The first files that failed: path and error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What goes on."""

    active: list[ActiveJob]
    more: int
    """Active jobs that are not among `active`."""
    ended: list[EndedJob]
    """The last ones first."""

    @property
    def announcement(self) -> str:
        """One sentence for people who listen; it changes only when a job starts or ends."""
        if self.active:
            running = sum(job.running for job in self.active)
            return f"{wording.amount(running, 'jobs')} running, {len(self.active) + self.more - running} waiting."
        if self.ended:
            last = self.ended[0]
            return f"{last.title}: {last.ending.lower()}. {last.summary}"
        return "No job has run yet."

    @property
    def revision(self) -> str:
        """Changes whenever a job has ended."""
        return " ".join(job.id for job in self.ended)


async def read_activity(queue: AsyncJobQueue) -> Activity:
    """Read what goes on."""
    running = await queue.list(status=JobStatus.RUNNING, limit=LOOKED_AT)
    pending = await queue.list(status=JobStatus.PENDING, limit=LOOKED_AT)
    newest = await queue.list(limit=LOOKED_AT)
    # Oldest first: in the order in which they run.
    active = [*reversed(running.jobs), *reversed(pending.jobs)]
    ended = sorted((job for job in newest.jobs if job.status.terminal), key=_finished_at, reverse=True)
    return Activity(
        active=[describe_active(job) for job in active[:ACTIVE_SHOWN]],
        more=max(0, len(active) - ACTIVE_SHOWN),
        ended=[describe_ended(job) for job in ended[:ENDED_SHOWN]],
    )


def _finished_at(job: Job) -> int:
    return job.finished_at or 0


def describe_active(job: Job) -> ActiveJob:
    """Say how far a job is."""
    detail = job.progress_detail or {}
    running = job.status is JobStatus.RUNNING
    phase = "Waiting for its turn"
    if job.cancel_requested:
        phase = "Stopping"
    elif running:
        phase = PHASES.get(detail.get("phase", ""), "Starting")
    current = detail.get("current")
    return ActiveJob(
        id=job.id,
        title=_title(job),
        running=running,
        ending=job.cancel_requested,
        progress=job.progress,
        phase=phase,
        figures=_figures(detail),
        current=None if current is None else wording.visible(current),
    )


def describe_ended(job: Job) -> EndedJob:
    """Say how a job ended."""
    result = job.result or {}
    return EndedJob(
        id=job.id,
        title=_title(job),
        status=job.status.value,
        ending=ENDINGS[job.status],
        summary=_summary(result),
        error=None if job.error is None else wording.visible(job.error),
        finished_at=job.finished_at,
        failed=result.get("failed", 0),
        failures=[
            {name: wording.visible(text) for name, text in failure.items()}
            for failure in result.get("errors", [])[:FAILURES_SHOWN]
        ],
    )


def _title(job: Job) -> str:
    kind = job.type.capitalize()
    if job.payload.get("dry_run"):
        kind = "Dry run"
    elif job.payload.get("force"):
        kind = "Full scan"
    folder = job.payload.get("path")
    return kind if folder is None else f"{kind} of {wording.visible(folder)}"


def _figures(detail: dict[str, Any]) -> str:
    if not detail:
        return ""
    unit = detail["unit"]
    parts = [wording.amount(detail["done"], unit)]
    if detail["total"] is not None:
        parts = [f"{detail['done']:,} of {wording.amount(detail['total'], unit)}"]
    if detail["rate"]:
        rate = detail["rate"]
        parts.append(f"{rate:,.{0 if rate >= 10 else 1}f}/s")
    if detail["eta_seconds"] is not None:
        parts.append(f"{wording.spell(max(1, round(detail['eta_seconds'])))} left")
    return " · ".join(parts)


def _summary(result: dict[str, Any]) -> str:
    if not result:
        return "Nothing was done."
    parts = [f"{result[name]:,} {name}" for name in COUNTED if result.get(name)]
    counts = ", ".join(parts) or "no videos found"
    read, seconds = wording.size(result.get("bytes_read", 0)), wording.spell(result.get("duration_seconds", 0.0))
    return f"{counts}; {read} read in {seconds}"
