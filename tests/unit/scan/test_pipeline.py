"""What a scan does to the catalogue, with a pretended probe and everything else real."""

import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from stoat_ferret.api.services import parts as job_parts
from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import folders, gone, libraries
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library import changes
from stoat_ferret.library.models import Outcome
from stoat_ferret.scan import compare, store, survey, walk, walker
from stoat_ferret.scan import parts as scan_parts
from stoat_ferret.scan.listing import FolderListing, FolderProblem, SameFiles
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import list_folder
from stoat_ferret.scan.walker import Walker
from stoat_ferret.settings import Settings
from tests.factories import LONG_AGO_NS, Stage, nonzero, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that is scanned."""
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


@pytest.fixture(params=["alone", "shared"])
def stage(
    request: pytest.FixtureRequest, catalogue: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """Scans that one worker does, and scans of which every file goes to another job: the catalogue must not differ."""
    monkeypatch.setattr(scan_parts, "PART_FILES", 1)
    monkeypatch.setattr(job_parts, "MOST_WAITING", 1_000_000)  # nobody else is there to do them meanwhile
    monkeypatch.setattr(job_parts, "LOOK_SECONDS", 0.0)
    return Stage(catalogue, settings, shared=request.param == "shared")


def fill(folder: Path, count: int, start: int = 0) -> list[bytes]:
    return [put(folder / f"{number:03}.mp4", f"video {number}") for number in range(start, start + count)]


def digests(stage: Stage) -> dict[bytes, bytes | None]:
    with stage.catalogue.read() as connection:
        return {row.path_bytes: row.digest for row in connection.execute(select(folders))}


def failed(job: Job, code: str) -> str:
    assert (job.status, job.error_code) == (JobStatus.FAILED, code), job.error
    return job.error or ""


@contextmanager
def unlisted(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> Iterator[None]:
    """Make some folders unreadable; the test's own user may read everything, so it is pretended."""
    hidden = {os.fsencode(path) for path in paths}

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
            if path in hidden:
                raise PermissionError(13, "Permission denied", path)
            return function(path, *arguments, **options)

        return refuse

    class FakeOs:
        def __getattr__(self, name: str) -> Any:
            found = getattr(os, name)
            return refusing(found) if name in ("open", "scandir") else found

    with monkeypatch.context() as patched:
        patched.setattr(walk, "os", FakeOs())
        yield


# Outcomes


def test_each_file_has_its_outcome(stage: Stage, root: Path) -> None:
    """New, updated, unchanged, missing, restored, failed, skipped."""
    a, b = put(root / "a.mp4"), put(root / "b.mp4")
    put(root / "notes.txt")
    put(root / "sound.mp4", "sound")
    put(root / "deep" / "er" / "bad.mp4", "broken")
    assert stage.counts(root) == {"new": 2, "skipped": 1, "failed": 1}
    assert stage.counts(root) == {"unchanged": 2, "skipped": 1, "failed": 1}
    put(b, "video, edited")
    ids = stage.tree()
    assert stage.counts(root) == {"updated": 1, "unchanged": 1, "skipped": 1, "failed": 1}
    assert stage.tree() == ids
    os.rename(a, a + b".away")
    assert stage.counts(root) == {"missing": 1, "unchanged": 1, "skipped": 1, "failed": 1}
    assert stage.states() == {a: "missing", b: "available"}
    assert stage.counts(root) == {"unchanged": 1, "skipped": 1, "failed": 1}
    os.rename(a + b".away", a)
    assert stage.counts(root) == {"restored": 1, "unchanged": 1, "skipped": 1, "failed": 1}
    assert stage.tree() == ids


def test_an_unchanged_tree_is_not_examined(stage: Stage, root: Path) -> None:
    """Nothing is read, neither by the short-cut nor file by file, and the job says so."""
    fill(root, 3)
    fill(root / "inner", 3)
    assert stage.result(root)["bytes_read"] > 0
    stage.pool.examined.clear()
    assert stage.result(root)["bytes_read"] == 0
    with stage.catalogue.write() as connection:
        connection.execute(update(folders).values(digest=None))
    assert stage.result(root)["bytes_read"] == 0
    assert stage.pool.examined == []


def test_force_examines_everything_again(stage: Stage, root: Path) -> None:
    """Unchanged files are updated; files that were refused are looked at again."""
    fill(root, 2)
    put(root / "bad.mp4", "broken")
    stage.scan(root)
    stage.pool.examined.clear()
    assert stage.counts(root, force=True) == {"updated": 2, "failed": 1}
    assert len(stage.pool.examined) == 3


def test_a_file_put_in_the_place_of_another_is_examined(stage: Stage, root: Path) -> None:
    """Even with the same size and time: it is another inode."""
    path = put(root / "a.mp4", "video one")
    stage.scan(root)
    times = os.stat(path).st_mtime_ns
    put(root / "new", "video two")
    os.utime(root / "new", ns=(times, times))
    os.rename(root / "new", path)
    assert stage.counts(root) == {"updated": 1}
    assert stage.videos()[0].title == "two"


def test_a_failure_that_passes_is_not_remembered(stage: Stage, root: Path) -> None:
    """The file is tried again at the next scan, although it looks the same, and a known video stays one."""
    path = put(root / "a.mp4", "passing")
    assert stage.counts(root) == {"failed": 1}
    assert digests(stage)[bytes(root)] is None
    times = os.stat(path).st_mtime_ns
    put(path, "video..")  # of the same length
    os.utime(path, ns=(times, times))
    assert stage.counts(root) == {"new": 1}
    put(path, "passing!")
    assert stage.counts(root) == {"failed": 1}
    assert stage.states() == {path: "available"}


def test_a_known_video_whose_content_breaks_is_broken_until_it_is_repaired(stage: Stage, root: Path) -> None:
    """It keeps its id throughout, says why, and counts as failed at each scan."""
    path = put(root / "a.mp4")
    stage.scan(root)
    video_id = stage.tree()[path][0]
    for content in ("broken", "sound"):
        put(path, content)
        before = stage.counts(root)
        assert stage.tree() == {path: (video_id, "broken")}
        assert stage.repository.video(video_id).probe_error
        assert stage.counts(root) == before == {"failed": 1}, content
    put(path, "video again")
    assert stage.counts(root) == {"updated": 1}
    assert stage.tree() == {path: (video_id, "available")}
    assert stage.repository.video(video_id).probe_error is None


@pytest.mark.parametrize("content", ["broken", "sound"])
def test_a_file_that_was_no_video_and_is_repaired_is_one(stage: Stage, root: Path, content: str) -> None:
    """New once, then unchanged like any other; nothing is left of what was said of it before."""
    path = put(root / "a.mp4", content)
    stage.scan(root)
    put(path, "video repaired")
    assert stage.counts(root) == {"new": 1}
    assert digests(stage)[bytes(root)] is not None
    assert stage.counts(root) == {"unchanged": 1}
    with stage.catalogue.write() as connection:
        connection.execute(update(folders).values(digest=None))
    assert stage.counts(root) == {"unchanged": 1}


def test_a_broken_video_that_was_missing_is_broken_again(stage: Stage, root: Path) -> None:
    """Restoring does not repair, and the short-cut counts it as failed, as a look at each file does."""
    path = put(root / "a.mp4")
    put(root / "b.mp4")
    stage.scan(root)
    put(path, "broken")
    stage.scan(root)
    os.rename(path, path + b".away")
    stage.scan(root)
    os.rename(path + b".away", path)
    assert stage.counts(root) == {"restored": 1, "unchanged": 1}
    assert stage.states()[path] == "broken"
    assert digests(stage)[bytes(root)] is not None
    assert stage.counts(root) == {"unchanged": 1, "failed": 1}


def test_a_missing_file_that_comes_back_changed_is_examined(stage: Stage, root: Path) -> None:
    """It is restored, with what it holds now."""
    put(root / "stays.mp4")
    path = put(root / "a.mp4", "video old")
    stage.scan(root)
    os.unlink(path)
    stage.scan(root)
    put(path, "video new")
    assert stage.counts(root) == {"restored": 1, "unchanged": 1}
    assert stage.videos()[0].title == "new"
    os.unlink(path)
    stage.scan(root)
    put(path, "broken")
    assert stage.counts(root) == {"failed": 1, "unchanged": 1}
    assert stage.states()[path] == "broken"


def test_a_deleted_entry_is_new_at_the_next_scan(stage: Stage, root: Path) -> None:
    """Whatever its state was; the file stays."""
    a, b = fill(root, 2)
    stage.scan(root)
    ids = stage.tree()
    stage.repository.delete_video(ids[a][0])
    assert os.path.exists(a)
    assert stage.counts(root) == {"new": 1, "unchanged": 1}
    assert stage.tree()[a] != ids[a]
    assert stage.tree()[b] == ids[b]


def test_an_entry_deleted_while_its_folder_is_compared_is_new_at_the_next_scan(stage: Stage, root: Path) -> None:
    """The digest that the scan is about to store would hide the file for ever."""
    first, second = fill(root, 2)
    stage.scan(root)
    put(second, "video edited")
    video_id = stage.tree()[first][0]
    stage.pool.before_answer = lambda path: stage.repository.delete_video(video_id)
    stage.scan(root)
    stage.pool.before_answer = lambda path: None
    assert stage.counts(root) == {"new": 1, "unchanged": 1}


def test_an_entry_deleted_while_its_unchanged_folder_is_visited_is_new_at_the_next_scan(
    stage: Stage, root: Path
) -> None:
    """Likewise where the short-cut was taken."""
    first, _ = fill(root / "a", 2)
    put(root / "b" / "x.mp4")
    stage.scan(root)
    put(root / "b" / "x.mp4", "video edited")
    video_id = stage.tree()[first][0]
    stage.pool.before_answer = lambda path: stage.repository.delete_video(video_id)
    stage.scan(root)
    stage.pool.before_answer = lambda path: None
    assert stage.counts(root) == {"new": 1, "unchanged": 2}


def test_an_entry_deleted_while_it_is_gone_takes_no_other_with_it(stage: Stage, root: Path) -> None:
    """Its key may be given to a new video before the scan settles, which must not be marked missing."""
    old = put(root / "a" / "old.mp4")
    stage.scan(root)
    os.unlink(old)
    video_id = stage.tree()[old][0]
    new = put(root / "b" / "new.mp4")

    def delete_once_it_is_stored_as_gone(_path: bytes) -> None:
        with stage.catalogue.read() as connection:
            known = connection.execute(select(gone)).all()
        if known:
            stage.repository.delete_video(video_id)
        else:
            pytest.fail("the folder before should have been stored")

    stage.pool.before_answer = delete_once_it_is_stored_as_gone
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "BATCH_FILES", 1)
        stage.scan(root)
    assert stage.states() == {new: "available"}


def test_a_file_that_another_scan_has_seen_meanwhile_does_not_stay_missing(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two scans overlap: one found it gone, the other found it back; the next one looks for itself."""
    monkeypatch.setattr(store, "BATCH_FILES", 1)
    path = put(root / "a" / "x.mp4")
    put(root / "b" / "y.mp4")
    stage.scan(root)
    os.unlink(path)
    put(root / "b" / "new.mp4")
    other = Stage(stage.catalogue, stage.settings)

    def bring_back_and_scan(_path: bytes) -> None:
        put(path)
        assert other.scan(root / "a").status is JobStatus.COMPLETE

    stage.pool.before_answer = bring_back_and_scan
    stage.scan(root)
    stage.pool.before_answer = lambda path: None
    stage.scan(root)
    assert stage.states()[path] == "available"


# The digest


def test_a_young_file_keeps_its_folder_from_having_a_digest(stage: Stage, root: Path) -> None:
    """Its time may be too coarse to tell another change."""
    put(root / "a.mp4", age_seconds=0)
    put(root / "inner" / "b.mp4")
    stage.scan(root)
    assert digests(stage)[bytes(root)] is None
    assert digests(stage)[bytes(root / "inner")] is not None
    assert stage.counts(root) == {"unchanged": 2}


def test_a_file_of_the_future_is_no_trouble(stage: Stage, root: Path) -> None:
    """Not even of a future that 64 bits of nanoseconds cannot tell."""
    path = put(root / "a.mp4")
    for seconds in (4_000_000_000, 13_000_000_000, -13_000_000_000):
        try:
            os.utime(path, (seconds, seconds))
        except OSError:
            continue
        job = stage.scan(root)
        assert job.status is JobStatus.COMPLETE, job.error
        assert stage.counts(root) == {"unchanged": 1}


def test_something_gone_keeps_the_digest_away_until_the_next_scan(stage: Stage, root: Path) -> None:
    """So that a loss that was not settled is seen again."""
    a, _ = fill(root, 2)
    stage.scan(root)
    os.unlink(a)
    stage.scan(root)
    assert digests(stage)[bytes(root)] is None
    stage.scan(root)
    assert digests(stage)[bytes(root)] is not None


def test_a_file_that_changes_while_it_is_examined_keeps_the_digest_away(stage: Stage, root: Path) -> None:
    """What is stored is what was read, and the next scan looks again."""
    path = put(root / "a.mp4")

    def change(examined: bytes) -> None:
        put(examined, "video, longer")

    stage.pool.before_answer = change
    assert stage.counts(root) == {"new": 1}
    stage.pool.before_answer = lambda examined: None
    assert digests(stage)[bytes(root)] is None
    assert stage.videos()[0].size == os.stat(path).st_size
    assert stage.counts(root) == {"unchanged": 1}


# Absence


def test_a_library_whose_folder_is_gone_is_offline_and_unchanged(stage: Stage, root: Path) -> None:
    """Nothing is concluded from an unmounted disk; when it is back, nothing is read."""
    fill(root, 3)
    stage.scan(root)
    before = stage.tree()
    root.rename(root.with_name("away"))
    assert str(root) in failed(stage.scan(root), "LIBRARY_OFFLINE")
    assert stage.tree() == before
    assert [library.state for library in stage.repository.libraries()] == ["offline"]
    root.with_name("away").rename(root)
    result = stage.result(root)
    assert (nonzero(result), result["bytes_read"]) == ({"unchanged": 3}, 0)
    assert [library.state for library in stage.repository.libraries()] == ["online"]


def test_an_emptied_library_is_offline_unless_that_is_accepted(stage: Stage, root: Path) -> None:
    """An empty folder is what an unmounted disk leaves."""
    paths = fill(root, 3)
    stage.scan(root)
    for path in paths:
        os.unlink(path)
    (root / "lost+found").mkdir()
    assert "accept_loss" in failed(stage.scan(root), "LIBRARY_OFFLINE")
    assert "No video is left" in failed(stage.scan(root, force=True), "LIBRARY_OFFLINE")
    assert set(stage.states().values()) == {"available"}
    assert stage.counts(root, accept_loss=True) == {"missing": 3}
    assert stage.counts(root) == {}


def test_a_stray_folder_does_not_make_a_mount_point_a_library(stage: Stage, root: Path) -> None:
    """However few the videos were: with none left at all, the disk is more likely to be away than all of them."""
    put(root / "films" / "a.mp4")
    put(root / "films" / "b.mp4")
    stage.scan(root)
    root.rename(root.with_name("away"))
    (root / "stray").mkdir(parents=True)
    for _ in range(2):
        assert "accept_loss" in failed(stage.scan(root), "LIBRARY_OFFLINE")
        assert set(stage.states().values()) == {"available"}
    assert stage.counts(root, accept_loss=True) == {"missing": 2}


def test_a_library_that_goes_offline_while_it_is_scanned_is_offline(stage: Stage, root: Path) -> None:
    """The disk is looked at again before anything is concluded."""
    a, b = fill(root, 2)
    inner = put(root / "inner" / "c.mp4")
    stage.scan(root)
    put(b, "video edited")

    def unmount(_path: bytes) -> None:
        root.rename(root.with_name("away"))
        root.mkdir()

    stage.pool.before_answer = unmount
    failed(stage.scan(root), "LIBRARY_OFFLINE")
    assert stage.states() == {a: "available", b: "available", inner: "available"}
    assert [library.state for library in stage.repository.libraries()] == ["offline"]


def test_a_mass_loss_stops_and_asks_until_it_is_accepted(stage: Stage, root: Path) -> None:
    """It is not forgotten by the next scan, nor by force, nor diluted by what is new."""
    paths = fill(root, 30)
    stage.scan(root)
    for path in paths[:25]:
        os.unlink(path)
    fill(root, 40, start=100)
    for options in ({}, {}, {"force": True}, {}):
        message = failed(stage.scan(root, **options), "MASS_LOSS")
        assert "25 of the 30" in message
        assert "accept_loss" in message
        assert "missing" not in stage.states().values()
        stage.check_catalogue()
    assert len(stage.states()) == 70
    assert stage.counts(root, accept_loss=True) == {"unchanged": 45, "missing": 25}


def test_a_mass_loss_that_was_settled_is_over(stage: Stage, root: Path) -> None:
    """By accepting it, or by bringing the files back: later losses are measured by what there is then."""
    paths = fill(root, 30)
    stage.scan(root)
    for path in paths:
        os.rename(path, path + b".away")
    new = fill(root / "new", 100)
    failed(stage.scan(root), "MASS_LOSS")
    for path in paths:
        os.rename(path + b".away", path)
    assert stage.counts(root) == {"unchanged": 130}
    for path in new[:40]:
        os.unlink(path)
    assert stage.counts(root) == {"unchanged": 90, "missing": 40}


def test_a_mass_loss_is_one_in_a_second_attempt_too(stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first attempt brought before it died does not make the loss look smaller."""
    monkeypatch.setattr(store, "BATCH_FILES", 5)
    away = fill(root / "away", 40)
    paths = fill(root / "a", 30)
    stage.scan(root)
    (root / "away").rename(root.with_name("away"))
    stage.scan(root, accept_loss=True)
    assert set(stage.states().values()) == {"available", "missing"}
    root.with_name("away").rename(root / "away")
    for path in paths[:25]:
        os.unlink(path)
    fill(root / "b", 40)
    library = stage.repository.libraries()[0].id
    for at in (9, 14, 19):
        died, job = stage.scan_that_dies(root, at)
        assert died or at > 9
        message = failed(job, "MASS_LOSS")
        assert "25 of the 30" in message
    assert stage.repository.count_present(library) == 110
    assert stage.states()[away[0]] == "available"


def test_a_mass_loss_is_one_of_folders_too(stage: Stage, root: Path) -> None:
    """Whole folders that are gone count like files."""
    put(root / "stays.mp4")
    fill(root / "a" / "b", 30)
    stage.scan(root)
    shutil.rmtree(root / "a")
    failed(stage.scan(root), "MASS_LOSS")
    (root / "a").mkdir()
    failed(stage.scan(root), "MASS_LOSS")
    assert stage.counts(root, accept_loss=True) == {"unchanged": 1, "missing": 30}


def test_few_files_may_always_go(stage: Stage, root: Path) -> None:
    """A small library is not asked about each time."""
    paths = fill(root, 21)
    stage.scan(root)
    for path in paths[:20]:
        os.unlink(path)
    assert stage.counts(root) == {"missing": 20, "unchanged": 1}


def test_an_unreadable_folder_proves_nothing(stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All below it stays as it was, and the ledger says so."""
    seen = put(root / "seen.mp4")
    hidden = put(root / "closed" / "hidden.mp4")
    deeper = put(root / "closed" / "deeper" / "more.mp4")
    stage.scan(root)
    before = stage.tree()
    shutil.rmtree(root / "closed")
    (root / "closed").mkdir()
    with unlisted(monkeypatch, root / "closed"):
        job = stage.scan(root)
    assert job.result is not None
    assert nonzero(job.result) == {"unchanged": 1, "skipped": 1}
    row = stage.ledger(job)[bytes(root / "closed")]
    assert (row.outcome, row.code) == (Outcome.SKIPPED, "FOLDER_NOT_READABLE")
    assert "may not be read" in (row.reason or "")
    assert stage.tree() == before
    stage.counts(root)
    assert stage.states() == {seen: "available", hidden: "missing", deeper: "missing"}


def test_a_library_that_may_not_be_read_fails_and_says_so(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions are not a missing disk."""
    fill(root, 2)
    stage.scan(root)
    with unlisted(monkeypatch, root):
        failed(stage.scan(root), "PATH_NOT_READABLE")
    assert set(stage.states().values()) == {"available"}


def test_a_walk_that_ends_through_a_mistake_proves_nothing(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan fails, and what was not reached is not taken as gone."""
    fill(root / "a", 2)
    fill(root / "b", 2)
    stage.scan(root)
    real = list_folder

    def fail_at_b(path: bytes, rules: Rules, *more: Any) -> FolderListing | FolderProblem:
        if path.endswith(b"/b"):
            raise RuntimeError("A mistake of our own.")
        return real(path, rules, *more)

    monkeypatch.setattr(walker, "list_folder", fail_at_b)
    monkeypatch.setattr(compare, "list_folder", fail_at_b)
    failed(stage.scan(root), "INTERNAL_ERROR")
    assert set(stage.states().values()) == {"available"}


@pytest.mark.parametrize("something_new", [False, True])
def test_an_entry_that_is_forgotten_while_its_folder_is_listed_is_found_again(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch, something_new: bool
) -> None:
    """By the same scan where that has changed something, and looks again what is known; else at least by the next."""
    fill(root / "a", 2)
    b = fill(root / "b", 2)
    stage.scan(root)
    stage.scan(root)  # where parts have stored the files, this one keeps the digest
    if something_new:
        put(root / "a" / "new.mp4")
    forgotten = stage.tree()[b[0]][0]
    real = Walker.take

    def forgetting(walk: Walker, timeout: float) -> FolderListing | FolderProblem | None:
        listing = real(walk, timeout)
        if listing is not None and listing.path == root_bytes + b"/b":
            assert isinstance(listing, FolderListing)
            assert isinstance(listing.files, SameFiles)
            stage.repository.delete_video(forgotten)
        return listing

    root_bytes = os.fsencode(root)
    with monkeypatch.context() as patched:
        patched.setattr(Walker, "take", forgetting)
        first = stage.counts(root)
    assert first == ({"new": 2, "unchanged": 3} if something_new else {"unchanged": 4})
    second = stage.counts(root)
    assert second == ({"unchanged": 5} if something_new else {"new": 1, "unchanged": 3})
    assert set(stage.tree()) == {os.fsencode(path) for path in root.rglob("*.mp4")}


def test_a_deleted_folder_takes_its_videos_to_missing(stage: Stage, root: Path) -> None:
    """And what is in a folder of the same name later comes back."""
    stays = put(root / "stays.mp4")
    a, b = put(root / "gone" / "a.mp4"), put(root / "gone" / "inner" / "b.mp4")
    put(root / "gone" / "bad.mp4", "broken")
    stage.scan(root)
    ids = stage.tree()
    (root / "gone").rename(root.with_name("elsewhere"))
    assert stage.counts(root) == {"missing": 2, "unchanged": 1}
    assert stage.states() == {stays: "available", a: "missing", b: "missing"}
    root.with_name("elsewhere").rename(root / "gone")
    assert stage.counts(root) == {"restored": 2, "unchanged": 1, "failed": 1}
    assert stage.tree() == ids


def test_folders_without_videos_are_forgotten(stage: Stage, root: Path) -> None:
    """They leave no rows behind."""
    put(root / "stays.mp4")
    put(root / "gone" / "bad.mp4", "broken")
    stage.scan(root)
    shutil.rmtree(root / "gone")
    stage.scan(root)
    assert set(digests(stage)) == {bytes(root)}


# Which part


def test_a_targeted_scan_touches_only_its_part(stage: Stage, root: Path) -> None:
    """It belongs to the library, and the rest of the library stays as it was."""
    kept, part = put(root / "a" / "kept.mp4"), put(root / "b" / "part.mp4")
    stage.scan(root)
    os.unlink(kept)
    os.unlink(part)
    new = put(root / "b" / "new.mp4")
    assert stage.counts(root / "b") == {"new": 1, "missing": 1}
    assert stage.states() == {kept: "available", part: "missing", new: "available"}
    assert len(stage.repository.libraries()) == 1


def test_a_scan_that_is_not_recursive_settles_only_its_folder(stage: Stage, root: Path) -> None:
    """Sub-folders are neither looked into nor taken as gone."""
    top, deep = put(root / "top.mp4"), put(root / "inner" / "deep.mp4")
    put(root / "stays.mp4")
    assert stage.counts(root, recursive=False) == {"new": 2}
    assert stage.counts(root) == {"unchanged": 2, "new": 1}
    os.unlink(top)
    shutil.rmtree(root / "inner")
    assert stage.counts(root, recursive=False) == {"missing": 1, "unchanged": 1}
    assert stage.states()[deep] == "available"


@pytest.mark.parametrize("recursive", [True, False])
def test_a_missing_part_of_a_library_is_gone(stage: Stage, root: Path, recursive: bool) -> None:
    """The nearest folder that is there proves it."""
    stays, part = put(root / "stays.mp4"), put(root / "a" / "b" / "part.mp4")
    deeper = put(root / "a" / "b" / "c" / "deeper.mp4")
    stage.scan(root)
    shutil.rmtree(root / "a")
    assert stage.counts(root / "a" / "b", recursive=recursive) == {"missing": 2 if recursive else 1}
    expected = "missing" if recursive else "available"
    assert stage.states() == {stays: "available", part: "missing", deeper: expected}


def test_a_missing_part_below_an_unreadable_folder_proves_nothing(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the nearest folder cannot be listed, nor where the way down cannot be searched."""
    put(root / "stays.mp4")
    part = put(root / "a" / "b" / "part.mp4")
    stage.scan(root)
    shutil.rmtree(root / "a" / "b")
    with unlisted(monkeypatch, root / "a"):
        stage.scan(root / "a" / "b")
    assert stage.states()[part] == "available"
    real = os.lstat

    def lstat(path: Any, **options: Any) -> os.stat_result:
        if os.fsencode(path) == bytes(root / "a" / "b"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", lstat)
        stage.scan(root / "a" / "b")
    assert stage.states()[part] == "available"


def test_a_part_behind_a_link_does_not_belong_to_the_library(stage: Stage, root: Path, tmp_path: Path) -> None:
    """A scan of the library does not follow links, so a scan of a part does not either: they agree."""
    put(root / "stays.mp4")
    put(tmp_path / "other" / "a.mp4")
    (root / "link").symlink_to(tmp_path / "other")
    stage.scan(root)
    before = stage.states()
    for part in (root / "link", root / ".hidden"):
        put(part / "b.mp4")
        job = stage.scan(part)
        assert job.result is not None
        assert nonzero(job.result) == {"skipped": 1}
        assert stage.ledger(job)[bytes(part)].reason
        assert stage.states() == before


def test_a_scan_above_libraries_leaves_them_what_they_own(stage: Stage, tmp_path: Path) -> None:
    """Each is scanned as itself; the new library takes the rest."""
    inner = put(tmp_path / "v" / "inner" / "a.mp4")
    stage.scan(tmp_path / "v" / "inner")
    outer = put(tmp_path / "v" / "b.mp4")
    more = put(tmp_path / "v" / "inner" / "c.mp4")
    assert stage.counts(tmp_path / "v") == {"new": 2, "unchanged": 1}
    owners = {library.id: library.path_bytes for library in stage.repository.libraries()}
    owned = {video.path_bytes: owners[video.library_id] for video in stage.videos()}
    assert owned == {
        inner: bytes(tmp_path / "v" / "inner"),
        more: bytes(tmp_path / "v" / "inner"),
        outer: bytes(tmp_path / "v"),
    }
    assert stage.counts(tmp_path / "v", recursive=False) == {"unchanged": 1}


def test_the_guards_of_inner_libraries_are_their_own(stage: Stage, tmp_path: Path) -> None:
    """One that is away or has lost much fails the scan, and does not keep the others from being scanned."""
    outer = tmp_path / "v"
    first, second, third = outer / "1", outer / "2", outer / "3"
    put(outer / "top.mp4")
    for inner in (first, second, third):
        fill(inner, 30)
        stage.scan(inner)
    stage.scan(outer)
    shutil.rmtree(first)
    for path in list(second.iterdir())[:29]:
        path.unlink()
    new = put(third / "new.mp4")
    job = stage.scan(outer)
    assert job.status is JobStatus.FAILED
    assert job.error_code == "LIBRARY_OFFLINE"
    assert str(first) in (job.error or "")
    assert str(second) in (job.error or "")
    assert stage.states()[new] == "available"
    assert "missing" not in stage.states().values()
    states = {library.path_bytes: library.state for library in stage.repository.libraries()}
    assert states[bytes(first)] == "offline"
    assert set(states.values()) == {"online", "offline"}


# Names and kinds


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.mp4", b"not utf-8 \xff\xfe.mp4", "\U0001f9a6 ferret.mp4".encode(), b"x" * 251 + b".mp4", b"-rf.mp4",
        b"%03d.mp4", b"http:.mp4", b"UPPER.MP4", b" .mp4", b"a'b\"c;--.mp4", b"\x01\x7f.mp4",
    ],
)  # fmt: skip
def test_every_name_is_ordinary(stage: Stage, root: Path, name: bytes) -> None:
    """Files and folders of any name are found, known again, and missed."""
    file, inner = put(bytes(root) + b"/" + name), put(bytes(root) + b"/d/" + name + b"/" + name)
    put(root / "stays.mp4")
    assert stage.counts(root) == {"new": 3}
    assert stage.counts(root) == {"unchanged": 3}
    assert {file, inner} < set(stage.states())
    os.unlink(file)
    shutil.rmtree(root / "d")
    assert stage.counts(root) == {"missing": 2, "unchanged": 1}


def test_what_is_no_file_is_skipped_and_never_opened(stage: Stage, root: Path) -> None:
    """Links, also dangling ones and circles, pipes and sockets."""
    put(root / "a.mp4")
    (root / "loop").symlink_to(root)
    (root / "link.mp4").symlink_to(root / "a.mp4")
    (root / "dangling.mp4").symlink_to("nowhere")
    (root / "loop.mp4").symlink_to(root)
    os.mkfifo(root / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(root)
        try:
            listening.bind("socket.mp4")
        finally:
            os.chdir(here)
        job = stage.scan(root)
    assert job.result is not None
    assert nonzero(job.result) == {"new": 1, "skipped": 5}
    codes = {path.rpartition(b"/")[2]: row.code for path, row in stage.ledger(job).items() if row.reason}
    assert codes == {
        b"link.mp4": "SYMLINK", b"dangling.mp4": "SYMLINK", b"loop.mp4": "SYMLINK",
        b"pipe.mp4": "NOT_A_FILE", b"socket.mp4": "NOT_A_FILE",
    }  # fmt: skip
    assert stage.pool.examined == [bytes(root / "a.mp4")]


def test_a_video_that_becomes_a_link_or_a_folder_is_missing(stage: Stage, root: Path) -> None:
    """The file that was known is not there any more."""
    a, b = fill(root, 2)
    put(root / "stays.mp4")
    stage.scan(root)
    os.unlink(a)
    os.symlink(b"stays.mp4", a)
    os.unlink(b)
    inside = put(b + b"/inside.mp4")
    assert stage.counts(root) == {"missing": 2, "unchanged": 1, "new": 1}
    assert stage.states()[inside] == "available"
    assert stage.counts(root) == {"skipped": 1, "unchanged": 2}


# Dry runs


def test_a_dry_run_reports_what_a_scan_would_and_changes_nothing(stage: Stage, root: Path) -> None:
    """The same numbers, and afterwards every table but the job's own is as it was."""
    a, b, c = fill(root, 3)
    put(root / "gone" / "x.mp4")
    put(root / "gone" / "bad.mp4", "broken")
    put(root / "bad.mp4", "broken")
    away = put(root / "back.mp4")
    stage.scan(root)
    os.rename(away, away + b".away")
    stage.scan(root)
    os.rename(away + b".away", away)
    os.unlink(a)
    put(b, "video edited")
    put(c, "broken")
    put(root / "new" / "n.mp4")
    put(root / "bad.mp4", "video repaired")
    shutil.rmtree(root / "gone")
    before = dump(stage)
    dry = stage.counts(root, dry_run=True)
    assert dump(stage) == before
    assert dry == {"new": 2, "updated": 1, "restored": 1, "missing": 2, "failed": 1}
    assert stage.counts(root) == dry


def test_a_dry_run_of_an_unknown_folder_makes_no_library(stage: Stage, root: Path) -> None:
    """Nothing at all is kept of it."""
    fill(root, 3)
    before = dump(stage)
    assert stage.counts(root, dry_run=True) == {"new": 3}
    assert dump(stage) == before
    assert stage.counts(root) == {"new": 3}


def test_a_dry_run_does_not_call_a_library_offline(stage: Stage, root: Path) -> None:
    """It fails as a scan would, and changes nothing."""
    fill(root, 3)
    stage.scan(root)
    shutil.rmtree(root)
    before = dump(stage)
    failed(stage.scan(root, dry_run=True), "LIBRARY_OFFLINE")
    assert dump(stage) == before


def test_a_dry_run_stops_at_a_mass_loss_too(stage: Stage, root: Path) -> None:
    """As the scan would."""
    paths = fill(root, 30)
    stage.scan(root)
    for path in paths[1:]:
        os.unlink(path)
    before = dump(stage)
    failed(stage.scan(root, dry_run=True), "MASS_LOSS")
    assert dump(stage) == before
    assert stage.counts(root, dry_run=True, accept_loss=True) == {"unchanged": 1, "missing": 29}


def dump(stage: Stage) -> dict[str, list[Any]]:
    """Give every row of the catalogue but those of jobs."""
    with sqlite3.connect(stage.settings.data_dir.parent / "library.db") as connection:
        tables = ("libraries", "folders", "videos", "video_details", "video_texts", "rejects", "changes")
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}  # noqa: S608


# Being cut off


def test_a_cancelled_scan_keeps_what_was_stored(stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its result says how far it came."""
    fill(root, 30)
    told = threading.Event()
    end = JobContext.end

    def end_and_say_so(context: JobContext) -> None:
        end(context)
        told.set()

    monkeypatch.setattr(JobContext, "end", end_and_say_so)

    def cancel_soon(_path: bytes) -> None:
        if len(stage.pool.examined) == 10:
            (job,) = stage.queue.store.list(JobStatus.RUNNING, None, None, 50).jobs
            stage.queue.store.cancel(job.id)
            assert told.wait(10)

    stage.pool.before_answer = cancel_soon
    job = stage.scan(root)
    assert job.status is JobStatus.CANCELLED
    assert job.result is not None
    assert 10 <= job.result["new"] < 30
    assert len(stage.states()) == job.result["new"] == job.result["scanned"]
    stage.check(job)
    stage.pool.before_answer = lambda path: None
    done = job.result["new"]
    assert stage.counts(root) == {"new": 30 - done, "unchanged": done}


def test_a_scan_of_unchanged_folders_looks_whether_it_is_cancelled(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while listings come faster than they can be compared."""
    for number in range(40):
        put(root / f"{number:02}" / "a.mp4")
    stage.scan(root)
    looked = 0

    def slow(self: Any, listing: FolderListing | FolderProblem) -> None:
        time.sleep(0.01)
        take(self, listing)

    def raise_if_cancelled(self: Any) -> None:
        nonlocal looked
        looked += 1

    take = survey.Survey._take
    monkeypatch.setattr(survey.Survey, "_take", slow)
    monkeypatch.setattr("stoat_ferret.jobs.context.JobContext.raise_if_cancelled", raise_if_cancelled)
    assert stage.counts(root) == {"unchanged": 40}
    assert looked >= 5


@pytest.mark.parametrize("options", [{}, {"force": True}, {"dry_run": True}, {"dry_run": True, "force": True}])
def test_a_scan_killed_at_any_instant_ends_as_an_undisturbed_one(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool]
) -> None:
    """The same catalogue, the same numbers, nothing counted twice: killed at each transaction in turn."""
    monkeypatch.setattr(store, "BATCH_FILES", 2)
    untouched = root.with_name("untouched")
    prepare(stage, root)
    shutil.copytree(root, untouched, symlinks=True, copy_function=shutil.copy2)
    library = stage.settings.data_dir.parent / "library.db"
    stage.catalogue.close()
    before = library.read_bytes()
    outcomes = []
    for at in range(1, 100):
        for name in ("library.db-wal", "library.db-shm"):
            (library.parent / name).unlink(missing_ok=True)
        library.write_bytes(before)
        died, job = stage.scan_that_dies(root, at, **options)
        assert job.status is JobStatus.COMPLETE, job.error
        stage.check(job)
        assert job.result is not None
        ledger = {path: (row.outcome, row.count, row.code, row.reason) for path, row in stage.ledger(job).items()}
        outcomes.append((nonzero(job.result), ledger, stage.states()))
        stage.catalogue.close()
        if not died:
            break
    assert len(outcomes) > 8
    for outcome in outcomes:
        assert outcome == outcomes[-1]


def prepare(stage: Stage, root: Path) -> None:
    """Scan a tree, then change it so that the next scan has something of everything to do."""
    paths = fill(root / "a", 7) + fill(root / "b", 3)
    away = fill(root / "c", 2)
    put(root / "d" / "bad.mp4", "broken")
    put(root / "old" / "x.mp4")
    stage.scan(root)
    for path in away:
        os.rename(path, path + b".away")
    stage.scan(root)
    for path in away:
        os.rename(path + b".away", path)
    put(paths[0], "video edited")
    put(paths[1], "broken now")
    put(paths[2], "sound now")
    os.unlink(paths[3])
    shutil.rmtree(root / "old")
    fill(root / "a", 3, start=50)
    put(root / "d" / "worse.mp4", "broken")
    put(root / "d" / "sound.mp4", "sound")


def test_a_resumed_scan_counts_a_folder_anew_where_it_changed_meanwhile(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first attempt counted as unchanged, and the second finds gone, is not counted as both."""
    paths = fill(root / "a", 3)
    put(root / "z.mp4")
    stage.scan(root)
    monkeypatch.setattr(store, "BATCH_FILES", 1)
    new = put(root / "b" / "new.mp4")

    def lose(_path: bytes) -> None:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)

    stage.pool.before_answer = lose
    died, job = stage.scan_that_dies(root, 4)
    assert died
    assert job.result is not None
    stage.check(job)
    # Where another job examines the new file, the others were compared before they went.
    lost = {"unchanged": 4} if stage.shared else {"unchanged": 1, "missing": 3}
    assert nonzero(job.result) == {"new": 1, **lost}
    assert new in stage.states()


# Size


def test_a_huge_folder_comes_back(stage: Stage, root: Path) -> None:
    """More files than one statement takes are restored, refused again, and forgotten."""
    paths = fill(root, 120)
    bad = [put(root / f"bad{number}.mp4", "broken") for number in range(120)]
    put(root / "inner" / "stays.mp4")
    stage.scan(root)
    with limited_variables(stage, 90):
        for path in paths + bad:
            os.rename(path, path + b".away")
        assert stage.counts(root, accept_loss=True) == {"missing": 120, "unchanged": 1}
        for path in paths:
            os.rename(path + b".away", path)
        assert stage.counts(root) == {"restored": 120, "unchanged": 1}


@contextmanager
def limited_variables(stage: Stage, most: int) -> Iterator[None]:
    """Let a statement have few variables, as SQLite does by default beyond 32,766."""

    def limit(connection: sqlite3.Connection, _record: Any) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, most)

    stage.catalogue.close()
    with pytest.MonkeyPatch.context() as patched:
        for module in ("repository", "absence"):
            patched.setattr(f"stoat_ferret.library.{module}.ROWS_A_STEP", 20)
        patched.setattr(store, "BATCH_FILES", 20)
        event.listen(stage.catalogue.engine, "connect", limit)
        try:
            yield
        finally:
            event.remove(stage.catalogue.engine, "connect", limit)
            stage.catalogue.close()


def test_the_library_remembers_its_last_scan(stage: Stage, root: Path) -> None:
    """Its name is its folder's."""
    fill(root, 1)
    job = stage.scan(root)
    (library,) = stage.repository.libraries()
    assert (library.name, library.last_scan_job_id, library.video_count) == ("videos", job.id, 1)
    with stage.catalogue.read() as connection:
        assert connection.execute(select(libraries.c.path)).scalars().all() == [str(root)]


def test_the_change_feed_tells_each_change_once(stage: Stage, root: Path) -> None:
    """An unchanged tree adds nothing to it."""
    path = put(root / "a.mp4")
    put(root / "b.mp4")
    stage.scan(root)
    stage.scan(root)
    put(path, "broken")
    stage.scan(root)
    os.unlink(path)
    stage.scan(root)
    stage.scan(root)
    feed = changes.read(stage.catalogue, 0, 100)
    told = [(change.kind, change.state) for change in feed if change.path_bytes == path]
    assert told == [("added", "available"), ("updated", "broken"), ("missing", "missing")]
    assert [change.seq for change in feed] == sorted({change.seq for change in feed})


def test_listings_of_the_probe_stage_are_those_of_the_disk(root: Path, stage: Stage) -> None:
    """A time before 1970 is a time."""
    path = put(root / "a.mp4")
    os.utime(path, ns=(-5_000_000_000, -5_000_000_000))
    assert stage.counts(root) == {"new": 1}
    assert stage.videos()[0].modified_at == -5_000_000
    assert LONG_AGO_NS > 0
    assert isinstance(list_folder(bytes(root), pipeline_rules(stage)), FolderListing)


def pipeline_rules(stage: Stage) -> Rules:
    return Rules(stage.settings.video_extensions)
