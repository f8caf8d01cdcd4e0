"""What `stoat jobs watch` draws: jobs that run, wait and have ended, fitted to the terminal. Knows Rich."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stoat_ferret.cli import wording
from stoat_ferret.cli.text import clean, count, shorten, span
from stoat_ferret.jobs.model import Job, JobStatus, WorkerRecord

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

BAR = 20
SHARE = 5
INDENT = "  "
MARK = len("x cancelled")
ENDED_KEPT = 50
MARKS = {
    JobStatus.COMPLETE: ("✓", "green"),
    JobStatus.FAILED: ("✗", "red"),
    JobStatus.TIMEOUT: ("✗", "red"),
    JobStatus.CANCELLED: ("-", "yellow"),
}


@dataclass
class Board:
    """The jobs as they stand now."""

    jobs: dict[str, Job] = field(default_factory=dict)
    workers: dict[str, WorkerRecord] = field(default_factory=dict)

    def put(self, jobs: Iterable[Job]) -> None:
        """Take in changes; whatever is older than what is known is left out."""
        for job in jobs:
            known = self.jobs.get(job.id)
            if known is None or known.revision <= job.revision:
                self.jobs[job.id] = job
        for job in self.ended()[ENDED_KEPT:]:
            del self.jobs[job.id]

    def running(self) -> list[Job]:
        """Give what runs, in the order in which it began."""
        return sorted(self._that_are(JobStatus.RUNNING), key=lambda job: (job.started_at or 0, job.id))

    def waiting(self) -> list[Job]:
        """Give what waits, in the order in which it will be taken."""
        return sorted(self._that_are(JobStatus.PENDING), key=lambda job: (-job.priority, job.id))

    def ended(self) -> list[Job]:
        """Give what has ended, the last first."""
        over = [job for job in self.jobs.values() if job.status.terminal]
        return sorted(over, key=lambda job: (job.finished_at or 0, job.id), reverse=True)

    def _that_are(self, status: JobStatus) -> list[Job]:
        return [job for job in self.jobs.values() if job.status is status]


def draw(board: Board, *, width: int, height: int, now: int) -> "RenderableType":
    """Draw it in so many lines at most; the time is in microseconds since 1970 UTC."""
    from rich.console import Group

    running, waiting, ended = board.running(), board.waiting(), board.ended()
    shown = _shares(height, len(running), len(waiting), len(ended))
    lines: list[RenderableType] = [_head(board, running, waiting)]
    if shown.running:
        lines += _title("Running", len(running) - shown.running)
        lines += [line for job in running[: shown.running] for line in _running(board, job, width)]
    if shown.waiting:
        lines += _title("Waiting", len(waiting) - shown.waiting)
        lines += [_waiting(job, width, now) for job in waiting[: shown.waiting]]
    if shown.ended:
        lines += _title("Ended", 0)
        lines += [line for job in ended[: shown.ended] for line in _ended(job, width, now)]
    return Group(*lines)


@dataclass(frozen=True, slots=True)
class _Shown:
    """How many jobs of each kind are drawn."""

    running: int
    waiting: int
    ended: int


def _shares(height: int, running: int, waiting: int, ended: int) -> _Shown:
    """Share out the lines: two for a job that runs or has ended, one for one that waits, two above each kind.

    Those that run come first, but leave room for the first three that wait; these leave room for some that have ended.
    """
    room = height - 2  # without the head, and the line that the cursor is left on
    kept = 2 + min(waiting, 3) if waiting else 0
    run = min(running, max(1, (room - 2 - kept) // 2))
    room -= 2 + 2 * run if run else 0
    kept = 2 + 2 * min(ended, 5) if ended else 0
    wait = max(0, min(waiting, max(3, room - 2 - kept), room - 2))
    room -= 2 + wait if wait else 0
    return _Shown(run, wait, max(0, min(ended, (room - 2) // 2)))


def _head(board: Board, running: Sequence[Job], waiting: Sequence[Job]) -> "RenderableType":
    from rich.text import Text

    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(f"{len(running):,} running, {len(waiting):,} waiting", style="bold")
    if board.workers:
        slots = sum(worker.slots or 0 for worker in board.workers.values())
        head.append(f"   {count(len(board.workers), 'worker')} with {count(slots, 'slot')}", style="dim")
    elif running or waiting:
        head.append("   nobody runs jobs: start `stoat serve` or `stoat worker`", style="yellow")
    else:
        head.append("   no worker", style="dim")
    head.append("   Ctrl-C leaves", style="dim")
    return head


def _title(title: str, more: int) -> "list[RenderableType]":
    from rich.text import Text

    return [_line(""), Text.assemble((title, "bold"), (f"  and {more:,} more" if more > 0 else "", "dim"))]


def _line(text: str, style: str = "") -> "RenderableType":
    from rich.text import Text

    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _grid(width: int, cells: Sequence["RenderableType"], widths: Sequence[int]) -> "RenderableType":
    """Lay cells side by side; the first one gets what the widths of the others leave."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.width = width
    grid.add_column(ratio=1, no_wrap=True)
    for cell_width in widths:
        grid.add_column(width=cell_width, no_wrap=True)
    grid.add_row(*cells)
    return grid


def _name(job: Job, room: int, mark: tuple[str, str] | None = None) -> "Text":
    """Say what a job is, in so much room."""
    from rich.text import Text

    begin = INDENT + (f"{mark[0]:<{MARK}} " if mark else "")
    name = Text(begin, style=mark[1] if mark else "")
    name.append(job.type, style="bold")
    about = shorten(clean(wording.about(job)), max(5, room - len(begin) - len(job.type) - 1))
    return Text.assemble(name, f" {about}")


def _running(board: Board, job: Job, width: int) -> "list[RenderableType]":
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    known = job.progress is not None
    bar = ProgressBar(total=1.0 if known else None, completed=job.progress or 0.0, width=BAR, pulse=not known)
    share = Text(wording.share(job), justify="right")
    first = _grid(width, [_name(job, width - BAR - SHARE - 4), bar, share], [BAR, SHARE])
    doing = wording.phase_name(job, ending=job.cancel_requested)
    facts = " · ".join(filter(None, (f"{doing} {wording.progress_facts(job)}".strip(), *_by(board, job))))
    return [first, _line(f"{INDENT}{INDENT}{facts}", "dim")]


def _by(board: Board, job: Job) -> tuple[str, str]:
    """Say who runs it, and which attempt it is where it is not the first."""
    worker = board.workers.get(job.worker_id or "")
    by = f"{clean(worker.host)}:{worker.pid}" if worker else ""
    if job.worker_id is None:
        by = "by several workers"
    return by, f"attempt {job.attempt}" if job.attempt > 1 else ""


def _waiting(job: Job, width: int, now: int) -> "RenderableType":
    from rich.text import Text

    later = job.run_after is not None and job.run_after > now
    since = f"in {span(((job.run_after or 0) - now) / 1e6)}" if later else f"for {span((now - job.created_at) / 1e6)}"
    return _grid(width, [_name(job, width - len(since) - 2), Text(since, style="dim")], [len(since)])


def _ended(job: Job, width: int, now: int) -> "list[RenderableType]":
    from rich.text import Text

    when = wording.ago(job.finished_at or now, now)
    sign, style = MARKS[job.status]
    name = _name(job, width - len(when) - 2, (f"{sign} {job.status.value}", style))
    first = _grid(width, [name, Text(when, style="dim")], [len(when)])
    told = wording.summary(job)
    return [first, _line(f"{INDENT}{INDENT}{clean(told)}", "dim")] if told else [first]
