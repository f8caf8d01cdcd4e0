"""Disks that do not answer: each place that asks one has a sentence for it, and nothing is lost."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library.models import Outcome
from stoat_ferret.scan import volume
from stoat_ferret.scan.compare import list_unless_same
from stoat_ferret.scan.disk import Answer, DirectDisk
from stoat_ferret.scan.onefile import list_one
from stoat_ferret.scan.scope import descend
from stoat_ferret.scan.volume import identify
from stoat_ferret.scan.walk import holds_nothing, list_folder
from tests.factories import Stage, put

T = TypeVar("T")
LISTS = (list_folder, list_unless_same)
Silent = Callable[[Callable[..., Any], tuple[Any, ...]], bool]


class SilentDisk(DirectDisk):
    """Says nothing to some questions, as processes that were given up do."""

    def __init__(self, meanwhile: Callable[[], None], silent: Silent) -> None:
        super().__init__(meanwhile)
        self._silent = silent

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._silent(function, arguments):
            raise TimeoutError(errno.ETIMEDOUT, "no answer")
        return super().call(function, *arguments)

    def answers(self, timeout: float) -> list[Answer]:
        asked, self._asked = list(self._asked), type(self._asked)()
        found: list[Answer] = []
        for number, function, arguments in asked:
            if self._silent(function, arguments):
                found.append((number, TimeoutError(errno.ETIMEDOUT, "no answer")))
            else:
                self._asked.append((number, function, arguments))
        return found + super().answers(timeout)


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """A library that was scanned."""
    folder = tmp_path / "videos"
    put(folder / "a.mp4")
    put(folder / "in" / "b.mp4")
    put(folder / "in" / "c.mp4")
    stage.scan(folder)
    return folder


def scan_silent(stage: Stage, path: Path, silent: Silent, **options: Any) -> Job:
    stage.open_disk = lambda meanwhile: SilentDisk(meanwhile, silent)
    return stage.scan(path, **options)


def skipped(stage: Stage, job: Job) -> dict[bytes, str | None]:
    return {path: row.code for path, row in stage.ledger(job).items() if row.outcome is Outcome.SKIPPED}


@pytest.mark.parametrize("question", [holds_nothing, identify])
def test_a_library_whose_disk_hangs_is_offline(stage: Stage, root: Path, question: Callable[..., Any]) -> None:
    """Whichever question about its folder remains without an answer; all stays as it is, and it comes back."""
    before = stage.tree()
    os.remove(root / "a.mp4")
    job = scan_silent(stage, root, lambda function, _arguments: function is question)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "LIBRARY_OFFLINE")
    assert "did not answer in time" in (job.error or "")
    assert stage.tree() == before
    assert [library.state for library in stage.repository.libraries()] == ["offline"]
    stage.open_disk = DirectDisk
    assert stage.counts(root) == {"unchanged": 2, "missing": 1}
    assert [library.state for library in stage.repository.libraries()] == ["online"]


def test_one_folder_that_hangs_keeps_what_is_in_it(stage: Stage, root: Path) -> None:
    """The rest is scanned as ever."""
    os.remove(root / "a.mp4")
    os.remove(root / "in" / "b.mp4")
    inside = bytes(root / "in")
    job = scan_silent(stage, root, lambda function, arguments: function in LISTS and arguments[0] == inside)
    assert job.status is JobStatus.COMPLETE
    assert skipped(stage, job) == {inside: "FOLDER_TIMEOUT"}
    states = stage.states()
    assert states[bytes(root / "a.mp4")] == "missing"
    assert states[bytes(root / "in" / "b.mp4")] == "available"


def test_a_single_file_on_a_disk_that_hangs_stays(stage: Stage, root: Path) -> None:
    """Though it is gone: nobody has seen that."""
    os.remove(root / "a.mp4")
    silent: Silent = lambda function, _arguments: function is list_one  # noqa: E731
    job = scan_silent(stage, root, silent, recursive=False, only=b"a.mp4")
    assert job.status is JobStatus.COMPLETE
    assert {row.code for row in stage.ledger(job).values()} == {"FOLDER_TIMEOUT"}
    assert stage.states()[bytes(root / "a.mp4")] == "available"


def test_the_way_to_a_folder_that_hangs_proves_nothing(stage: Stage, root: Path) -> None:
    """A scan of a part of a library."""
    os.remove(root / "in" / "b.mp4")
    job = scan_silent(stage, root / "in", lambda function, _arguments: function is descend)
    assert job.status is JobStatus.COMPLETE
    assert {row.code for row in stage.ledger(job).values()} == {"FOLDER_TIMEOUT"}
    assert set(stage.states().values()) == {"available"}


def test_a_volume_inside_a_library_that_hangs_is_passed_over(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library itself holds is scanned; what lies on the volume stays."""
    root, disk = tmp_path / "films", tmp_path / "films" / "disk"
    put(root / "own.mp4")
    put(disk / "far.mp4")
    table = tmp_path / "mountinfo"
    lines = ["22 1 8:1 / / rw - ext4 /dev/sda1 rw", f"30 22 8:2 / {os.path.realpath(disk)} rw - nfs4 nas:/export rw"]
    table.write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(volume, "MOUNTS", table)
    stage.scan(root)
    os.remove(root / "own.mp4")
    os.remove(disk / "far.mp4")
    place = bytes(disk)
    job = scan_silent(stage, root, lambda function, arguments: function is identify and arguments[0] == place)
    assert skipped(stage, job) == {place: "FOLDER_TIMEOUT"}
    states = stage.states()
    assert states[bytes(root / "own.mp4")] == "missing"
    assert states[bytes(disk / "far.mp4")] == "available"
