"""What `stoat jobs watch` draws: every kind of job, within the terminal, whatever its size."""

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from stoat_ferret.cli import output
from stoat_ferret.cli.board import ENDED_KEPT, Board, draw
from stoat_ferret.jobs.model import Job, JobStatus, WorkerRecord
from tests.unit.cli.examples import DETAIL, NAMES, job

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
WORKER = WorkerRecord(id="w", host="nas", pid=4711, started_at=0, seen_at=0, slots=3)


def make(number: int, status: JobStatus, **fields: Any) -> Job:
    """Give a job of a number."""
    usual: dict[str, Any] = {"status": status, "payload": {"path": f"/videos/{number}"}}
    return replace(job(**usual | fields), id=f"{number:04}", revision=number, created_at=NOW - 90 * SECOND)


def lines(board: Board, width: int = 80, height: int = 40) -> list[str]:
    """Draw without colours."""
    screen = io.StringIO()
    console = output.console(screen)
    console.width, console.height = width, height
    console.print(draw(board, width=width, height=height, now=NOW))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def board(*jobs: Job, workers: bool = True) -> Board:
    """Give a board with these jobs."""
    made = Board(workers={"w": WORKER} if workers else {})
    made.put(jobs)
    return made


def test_each_kind_of_job_is_told_with_what_matters() -> None:
    """How far, how fast, by whom; for how long; what came of it."""
    shown = "\n".join(
        lines(
            board(
                make(1, JobStatus.RUNNING, worker_id="w", attempt=2, progress=0.42, progress_detail=DETAIL),
                make(2, JobStatus.PENDING),
                make(3, JobStatus.PENDING, run_after=NOW + 60 * SECOND),
                make(4, JobStatus.FAILED, error="No disk.", finished_at=NOW - 5 * SECOND),
                make(5, JobStatus.COMPLETE, result={"scanned": 2, "new": 2}, finished_at=NOW - 120 * SECOND),
                make(6, JobStatus.CANCELLED, finished_at=NOW),
            ),
            width=100,
        )
    )
    for part in (
        "1 running, 2 waiting   1 worker with 3 slots",
        "42 %",
        "examining 4,200 of 10,000 files, 812 a second, 7 s to go · nas:4711 · attempt 2",
        "scan /videos/2",
        "for 2 min",
        "in 1 min",
        "✗ failed    scan /videos/4",
        "No disk.",
        "✓ complete  scan /videos/5",
        "2 files scanned: 2 new",
        "2 min ago",
        "- cancelled scan /videos/6",
    ):
        assert part in shown


def test_what_is_urgent_waits_first_and_what_ended_last_stands_first() -> None:
    """In the order in which they will be taken, and were ended."""
    shown = lines(
        board(
            make(1, JobStatus.PENDING),
            make(2, JobStatus.PENDING, priority=10),
            make(3, JobStatus.COMPLETE, finished_at=1),
            make(4, JobStatus.TIMEOUT, finished_at=2, error="Too long."),
        )
    )
    order = [line.split("/videos/")[1][0] for line in shown if "/videos/" in line]
    assert order == ["2", "1", "4", "3"]


@pytest.mark.parametrize(
    ("jobs", "workers", "part"),
    [
        ((), True, "0 running, 0 waiting   1 worker with 3 slots"),
        ((), False, "no worker"),
        ((make(1, JobStatus.PENDING),), False, "nobody runs jobs: start `stoat serve` or `stoat worker`"),
        ((make(1, JobStatus.RUNNING),), True, "starting · by several workers"),
        ((make(1, JobStatus.RUNNING, cancel_requested=True, worker_id="x"),), True, "cancelling"),
    ],
)
def test_what_else_is_told(jobs: tuple[Job, ...], workers: bool, part: str) -> None:
    """Who is there, and what a job is at that has said nothing yet."""
    assert part in "\n".join(lines(board(*jobs, workers=workers)))


def test_an_older_state_does_not_replace_a_newer_one() -> None:
    """States come from a list and from a stream of changes."""
    made = board(make(1, JobStatus.COMPLETE, finished_at=NOW))
    made.put([replace(make(1, JobStatus.RUNNING), revision=0)])
    assert [each.status for each in made.ended()] == [JobStatus.COMPLETE]


def test_what_has_long_ended_is_dropped() -> None:
    """The board does not grow while it is looked at for days."""
    made = board(*(make(number, JobStatus.COMPLETE, finished_at=number) for number in range(3 * ENDED_KEPT)))
    assert len(made.jobs) == ENDED_KEPT
    assert made.ended()[0].id == f"{3 * ENDED_KEPT - 1:04}"


STATUSES = st.sampled_from(JobStatus)


@given(
    st.lists(st.tuples(STATUSES, NAMES, st.none() | st.floats(0, 1)), max_size=60),
    st.integers(40, 160),
    st.integers(8, 60),
)
def test_it_fits_the_terminal_whatever_the_names(
    given_jobs: list[tuple[JobStatus, str, float | None]], width: int, height: int
) -> None:
    """No line is too long, there are not too many, and nothing in a name commands the terminal."""
    detail = {**DETAIL, "current": "x" * 300}
    jobs = [
        make(number, status, payload={"path": name}, progress=progress, progress_detail=detail, error=name)
        for number, (status, name, progress) in enumerate(given_jobs)
    ]
    shown = lines(board(*jobs), width, height)
    assert len(shown) <= height
    assert all(cell_len(line) <= width for line in shown)
    assert not any("\x1b" in line or "\u202e" in line for line in shown)
    waiting = sum(status is JobStatus.PENDING for status, _, _ in given_jobs)
    running = sum(status is JobStatus.RUNNING for status, _, _ in given_jobs)
    assert shown[0].startswith(f"{running:,} running, {waiting:,} waiting"[:width])
    if running:
        assert any(line.startswith("Running") for line in shown)
