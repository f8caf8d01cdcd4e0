"""Files that are being written are left alone until they are whole."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from stoat_ferret.jobs.model import JobStatus
from tests.factories import LONG_AGO_NS, Stage, make_settings, put

SETTLE = 0.4


@pytest.fixture
def stage(stage: Stage, tmp_path: Path) -> Stage:
    """Scans of libraries in which a file is taken for written after a moment."""
    stage.settings = make_settings(tmp_path / "data", settle_seconds=SETTLE)
    return stage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The library's folder."""
    folder = tmp_path / "videos"
    put(folder / "old.mp4")
    return folder


class Writing:
    """A program that goes on writing to a file until it is told to stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        path.write_text("video")

    def __enter__(self) -> "Writing":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(SETTLE / 40):
            with self.path.open("a") as file:
                file.write(".")


def test_a_file_that_is_growing_is_left_to_another_scan(stage: Stage, root: Path) -> None:
    """It is skipped, with that reason, and not in the list; once it is whole it is new."""
    path = root / "growing.mp4"
    with Writing(path):
        job = stage.scan(root)
    assert job.status is JobStatus.COMPLETE
    row = stage.ledger(job)[bytes(path)]
    assert (row.outcome, row.code) == ("skipped", "STILL_WRITTEN")
    assert bytes(path) not in stage.tree()
    assert stage.counts(root) == {"new": 1, "unchanged": 1}


def test_a_young_file_that_is_whole_is_waited_for(stage: Stage, root: Path) -> None:
    """It is examined by the same scan, once it is old enough."""
    put(root / "young.mp4", age_seconds=0)
    began = time.time()
    assert stage.counts(root) == {"new": 2}
    assert time.time() - began >= SETTLE / 2


def test_a_copy_that_pauses_is_not_taken_for_whole(stage: Stage, root: Path) -> None:
    """What is examined is what it is in the end, and not what it was when it was listed."""
    path = root / "copy.mp4"
    path.write_text("broken, since it is half of it")

    def finish() -> None:
        time.sleep(SETTLE / 2)
        path.write_text("video")

    thread = threading.Thread(target=finish)
    thread.start()
    try:
        assert stage.counts(root) == {"new": 2}
    finally:
        thread.join()
    assert stage.states()[bytes(path)] == "available"


def test_a_download_is_found_under_its_last_name(stage: Stage, root: Path) -> None:
    """Under the one that it has until then, nobody looks at it."""
    part = root / "film.mp4.part"
    with Writing(part):
        assert stage.counts(root) == {"new": 1}
    os.rename(part, root / "film.mp4")
    assert stage.counts(root) == {"new": 1, "unchanged": 1}


def test_a_young_file_that_goes_away_meanwhile_is_no_failure(stage: Stage, root: Path) -> None:
    """As when a program writes under a name of its own first."""
    path = root / "temporary.mp4"
    put(path, age_seconds=0)
    put(root / "young.mp4", age_seconds=0)
    stage.pool.before_answer = lambda _path: path.unlink(missing_ok=True)
    job = stage.scan(root)
    assert job.status is JobStatus.COMPLETE
    assert stage.ledger(job)[bytes(path)].code == "VANISHED"


@pytest.mark.parametrize("seconds", [3600, 4_000_000_000])
def test_a_file_of_the_future_is_not_waited_for(stage: Stage, root: Path, seconds: int) -> None:
    """Some clock is wrong, which says nothing."""
    path = put(root / "future.mp4")
    moment = LONG_AGO_NS + seconds * 1_000_000_000 if seconds > 1e9 else time.time_ns() + seconds * 1_000_000_000
    os.utime(path, ns=(moment, moment))
    assert stage.counts(root) == {"new": 2}


def test_a_file_that_changes_while_it_is_read_is_still_being_written(stage: Stage, root: Path) -> None:
    """However old it was when it was listed."""
    path = put(root / "busy.mp4", "changing")
    job = stage.scan(root)
    assert stage.ledger(job)[path].code == "STILL_WRITTEN"
    assert path not in stage.tree()


def test_what_was_being_written_is_looked_at_again_by_itself(stage: Stage, root: Path) -> None:
    """Its folder only, a little later, and later each time."""
    put(root / "deep" / "busy.mp4", "changing")
    stage.scan(root)
    waits = []
    for looks in (1, 2, 3):
        [job] = stage.waiting()
        payload = job.payload
        assert (payload["path"], payload["recursive"], payload["looks"]) == (str(root / "deep"), False, looks)
        assert job.run_after is not None
        waits.append(job.run_after - time.time_ns() // 1_000)
        stage.now = job.run_after
        asyncio.run(stage.queue.run_pending())
    assert 0 < waits[0] < waits[1] < waits[2]


def test_a_dry_run_has_nothing_looked_at_again(stage: Stage, root: Path) -> None:
    """Since it is to change nothing."""
    put(root / "busy.mp4", "changing")
    stage.scan(root, dry_run=True)
    assert stage.waiting() == []


@pytest.mark.parametrize("known", [False, True], ids=["new", "over a video"])
def test_half_a_copy_that_was_written_a_short_while_ago_is_looked_at_again(
    stage: Stage, root: Path, known: bool
) -> None:
    """It may go on after a pause longer than a scan waits; what is old and broken stays so."""
    path = root / "copy.mp4"
    if known:
        put(path)
        stage.scan(root)
    put(root / "old.mp4", "broken")
    put(path, "broken, since it is half of it", age_seconds=0)
    os.utime(path, (time.time() - 60, time.time() - 60))
    stage.scan(root)
    [job] = stage.waiting()
    assert (job.payload["path"], job.payload["recursive"]) == (str(root), False)
    put(path)
    assert job.run_after is not None
    stage.now = job.run_after
    asyncio.run(stage.queue.run_pending())
    assert stage.states()[bytes(path)] == "available"
    assert stage.waiting() == []
