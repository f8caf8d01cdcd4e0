"""What is stored at once: few enough files that others can write between, and soon enough that little is lost."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.library import batch
from stoat_ferret.library.results import FolderBatch
from stoat_ferret.scan import store
from tests.factories import Stage, put


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When each transaction was begun, and how many files it stored."""
    seen: list[tuple[float, int]] = []
    apply: Callable[..., Any] = batch.apply

    def counted(connection: Any, job_id: str, batches: Sequence[FolderBatch], **options: bool) -> Any:
        seen.append((time.monotonic(), sum(len(each.files) for each in batches)))
        return apply(connection, job_id, batches, **options)

    monkeypatch.setattr(store, "apply", counted)
    return seen


def test_a_transaction_stores_500_files_at_most(
    stage: Stage, tmp_path: Path, stored: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast they come."""
    monkeypatch.setattr(store, "BATCH_SECONDS", 3600.0)
    for number in range(1201):
        put(tmp_path / "v" / str(number % 7) / f"{number}.mp4", f"video {number}")
    assert stage.counts(tmp_path / "v") == {"new": 1201}
    sizes = [size for _, size in stored]
    assert sum(sizes) == 1201
    assert max(sizes) <= 500


def test_nothing_waits_for_longer_than_half_a_second(
    stage: Stage, tmp_path: Path, stored: list[tuple[float, int]]
) -> None:
    """However slowly files come."""
    for number in range(40):
        put(tmp_path / "v" / f"{number}.mp4", f"video {number}")
    stage.pool.before_answer = lambda _path: time.sleep(0.05)
    began = time.monotonic()
    assert stage.counts(tmp_path / "v") == {"new": 40}
    moments = [began, *(at for at, size in stored if size)]
    waits = [later - earlier for earlier, later in pairwise(moments)]
    assert len(waits) >= 3
    assert min(waits[:-1]) > 0.3, "it stores too often"
    assert max(waits) < 1.5, "on a busy machine; a scan of all of it takes more than 2 s"


def test_copies_that_wait_for_the_end_of_the_walk_are_no_exception(
    stage: Stage, tmp_path: Path, stored: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are decided at once, as one may have a better right to an entry than another; not stored at once."""
    monkeypatch.setattr(store, "BATCH_SECONDS", 3600.0)
    root = tmp_path / "v"
    for number in range(1201):
        put(root / "a" / f"{number}.mp4", f"video {number}")
    stage.scan(root)
    stored.clear()
    for number in range(1201):
        put(root / "b" / f"{number % 3}" / f"{number}.mp4", f"video {number}")
        os.utime(root / "b" / f"{number % 3}" / f"{number}.mp4", ns=stamps(root / "a" / f"{number}.mp4"))
    shutil.rmtree(root / "a")
    assert stage.counts(root, accept_loss=True) == {"moved": 1201}
    sizes = [size for _, size in stored]
    assert (sum(sizes), max(sizes) <= 500) == (1201, True), sizes
    assert stage.counts(root) == {"unchanged": 1201}


def stamps(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_atime_ns, status.st_mtime_ns
