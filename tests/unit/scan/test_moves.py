"""Files that are elsewhere than they were: the entry goes with the file, and nothing of it is read."""

import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from stoat_ferret.db.tables import former_places, videos
from stoat_ferret.scan import sight
from tests.factories import Stage, put


@pytest.fixture(params=["alone", "shared"])
def stage(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """Scans by one worker, and by several."""
    stage.shared = request.param == "shared"
    return stage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The library's folder, with a file that stays."""
    folder = tmp_path / "videos"
    put(folder / "stays.mp4")
    return folder


def ids(stage: Stage) -> dict[bytes, str]:
    return {path: video_id for path, (video_id, state) in stage.tree().items() if state != "missing"}


def places(stage: Stage, path: bytes) -> list[bytes]:
    """Give where the video that is at a path was before, oldest first."""
    query = select(former_places.c.path_bytes).join(videos, videos.c.pk == former_places.c.video_pk)
    query = query.where(videos.c.path_bytes == path, videos.c.state != "missing").order_by(former_places.c.pk)
    with stage.catalogue.read() as connection:
        return list(connection.execute(query).scalars())


def test_a_renamed_file_keeps_its_id_and_is_not_read(stage: Stage, root: Path) -> None:
    """The ledger says where it was, and so does the entry."""
    old, new = put(root / "old.mp4"), bytes(root / "new.mp4")
    stage.scan(root)
    before = ids(stage)[old]
    os.rename(old, new)
    stage.pool.examined.clear()
    job = stage.scan(root)
    assert job.result is not None
    assert (job.result["moved"], job.result["missing"], job.result["bytes_read"]) == (1, 0, 0)
    stage.check(job)
    assert stage.pool.examined == []
    assert ids(stage)[new] == before
    assert old not in stage.tree()
    assert places(stage, new) == [old]
    assert stage.ledger(job)[new].from_path_bytes == old
    assert stage.counts(root) == {"unchanged": 2}


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a")])
def test_a_renamed_folder_keeps_all_ids(stage: Stage, root: Path, old: str, new: str) -> None:
    """Whichever of the two names the walk meets first; what is no video in it is not looked at again either."""
    paths = [put(root / old / "deep" / f"{number}.mp4") for number in range(700)]
    put(root / old / "bad.mp4", "broken")
    stage.scan(root)
    before = ids(stage)
    os.rename(root / old, root / new)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"moved": 700, "failed": 1, "unchanged": 1}
    assert stage.pool.examined == []
    after = ids(stage)
    for path in paths:
        moved = path.replace(f"/{old}/".encode(), f"/{new}/".encode())
        assert after[moved] == before[path]
    assert stage.counts(root) == {"unchanged": 701, "failed": 1}


@pytest.mark.slow
def test_a_renamed_folder_of_ten_thousand_files_is_not_read(stage: Stage, root: Path) -> None:
    """All of it moves, in several transactions; nothing of it is examined."""
    for number in range(10_000):
        put(root / "old" / f"{number % 20}" / f"{number}.mp4")
    stage.scan(root)
    before = {path.rpartition(b"/")[2]: video_id for path, video_id in ids(stage).items()}
    os.rename(root / "old", root / "new")
    stage.pool.examined.clear()
    assert stage.counts(root)["moved"] == 10_000
    assert stage.pool.examined == []
    assert {path.rpartition(b"/")[2]: video_id for path, video_id in ids(stage).items()} == before


@pytest.mark.parametrize("folders", [("", ""), ("a", "b")])
def test_two_files_that_changed_places_are_told_apart(stage: Stage, root: Path, folders: tuple[str, str]) -> None:
    """In one folder or in two."""
    one, two = (put(root / folder / f"{name}.mp4") for folder, name in zip(folders, "xy", strict=True))
    stage.scan(root)
    before = ids(stage)
    os.rename(one, one + b".aside")
    os.rename(two, one)
    os.rename(one + b".aside", two)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"moved": 2, "unchanged": 1}
    assert stage.pool.examined == []
    assert (ids(stage)[one], ids(stage)[two]) == (before[two], before[one])
    assert len(stage.tree()) == 3
    assert stage.counts(root) == {"unchanged": 3}


def test_a_row_of_files_that_all_moved_up_by_one_is_told_apart(stage: Stage, root: Path) -> None:
    """As when footage is numbered anew."""
    paths = [put(root / f"take {number:02d}.mp4") for number in range(10)]
    stage.scan(root)
    before = ids(stage)
    for number in reversed(range(10)):
        os.rename(paths[number], root / f"take {number + 1:02d}.mp4")
    assert stage.counts(root) == {"moved": 10, "unchanged": 1}
    after = ids(stage)
    assert [after[bytes(root / f"take {number + 1:02d}.mp4")] for number in range(10)] == [before[p] for p in paths]


def test_a_file_moved_over_another_takes_its_place(stage: Stage, root: Path) -> None:
    """The one that was written over is missing; when it comes back elsewhere, it is the one it was."""
    one, two = put(root / "one.mp4"), put(root / "two.mp4")
    os.link(two, root.parent / "kept.mp4")
    stage.scan(root)
    before = ids(stage)
    os.rename(one, two)
    assert stage.counts(root) == {"moved": 1, "unchanged": 1}
    assert ids(stage)[two] == before[one]
    [lost] = [video for video in stage.videos() if video.state == "missing"]
    assert (lost.id, lost.path_bytes) == (before[two], two)
    os.rename(root.parent / "kept.mp4", root / "again.mp4")
    assert stage.counts(root) == {"moved": 1, "unchanged": 2}
    assert ids(stage)[bytes(root / "again.mp4")] == before[two]


@pytest.mark.parametrize(("away", "place"), [("archive", "inbox"), ("inbox", "archive")])
def test_a_name_that_is_used_again_does_not_take_the_entry(stage: Stage, root: Path, away: str, place: str) -> None:
    """A camera numbers its clips anew after they were put away: the entry goes with the clip, not with the name."""
    old = put(root / place / "C0001.MP4")
    stage.scan(root)
    before = ids(stage)[old]
    os.makedirs(root / away)
    os.rename(old, root / away / "C0001.MP4")
    put(old, "video, another one")
    assert stage.counts(root) == {"moved": 1, "new": 1, "unchanged": 1}
    assert ids(stage)[bytes(root / away / "C0001.MP4")] == before
    assert ids(stage)[old] != before


def test_a_file_that_was_moved_and_edited_keeps_its_id(stage: Stage, root: Path) -> None:
    """Since it was made at the same moment; that costs one look at it."""
    old, new = put(root / "old.mp4"), root / "new.mp4"
    stage.scan(root)
    before = ids(stage)[old]
    os.rename(old, new)
    new.write_text("video, edited")
    stage.pool.examined.clear()
    assert stage.counts(root) == {"moved": 1, "unchanged": 1}
    assert stage.pool.examined == [bytes(new)]
    assert ids(stage)[bytes(new)] == before


def test_an_inode_that_is_used_again_is_no_move(stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file that got the number of a deleted one was made at another moment, though all else be the same."""
    old, new = put(root / "old.mp4"), root / "new.mp4"
    stage.scan(root)
    before = ids(stage)[old]
    os.rename(old, new)
    new.write_text("video, another one altogether")
    monkeypatch.setattr(sight, "birth_ns", lambda _path, **_options: 4_000_000_000_000_000_000)
    assert stage.counts(root) == {"new": 1, "missing": 1, "unchanged": 1}
    assert ids(stage)[bytes(new)] != before


def test_a_copy_is_another_video(stage: Stage, root: Path) -> None:
    """However alike the two are."""
    old, new = put(root / "old.mp4"), bytes(root / "new.mp4")
    stage.scan(root)
    before = ids(stage)[old]
    shutil.copy2(old, new)
    assert stage.counts(root) == {"new": 1, "unchanged": 2}
    assert ids(stage)[old] == before != ids(stage)[new]


def test_a_hard_link_is_another_place_of_one_content(stage: Stage, root: Path) -> None:
    """Two videos, each with an id of its own; the content's id is the same, until one of them is changed."""
    old, new = put(root / "old.mp4"), bytes(root / "new.mp4")
    stage.scan(root)
    os.link(old, new)
    assert stage.counts(root) == {"new": 1, "unchanged": 2}
    contents = {video.path_bytes: video.content_id for video in stage.videos()}
    assert contents[old] == contents[new] is not None
    assert len(set(ids(stage).values())) == 3
    os.unlink(new)
    put(new, "video, its own")
    stage.scan(root)
    contents = {video.path_bytes: video.content_id for video in stage.videos()}
    assert contents[new] is None


def test_a_name_in_another_case_is_the_same_file(stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that finds it under both names, as its old one is listed no more."""
    old, new = put(root / "Été.mp4"), os.fsencode(root / unicodedata.normalize("NFD", "été.MP4"))
    stage.scan(root)
    before = ids(stage)[old]
    os.rename(old, new)
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: real(new if path == old else path))
    assert stage.counts(root) == {"moved": 1, "unchanged": 1}
    assert ids(stage)[new] == before


def test_a_file_goes_to_another_library_with_its_entry(stage: Stage, root: Path) -> None:
    """And the numbers of both libraries are right; on another volume it is known by its content."""
    other = root.parent / "other"
    put(other / "stays too.mp4")
    old = put(root / "old.mp4")
    stage.scan(root)
    stage.scan(other)
    before = ids(stage)[old]
    new = other / "new.mp4"
    shutil.copy2(os.fsdecode(old), new)  # which gives it another inode, as a move between volumes does
    os.unlink(old)
    assert stage.counts(other) == {"moved": 1, "unchanged": 1}
    assert ids(stage)[bytes(new)] == before
    assert stage.counts(root) == {"unchanged": 1}
    assert {library.video_count for library in stage.repository.libraries()} == {1, 2}


def test_a_missing_file_that_comes_back_elsewhere_is_the_one_it_was(stage: Stage, root: Path) -> None:
    """By its content, where its inode is another one."""
    old = put(root / "old.mp4")
    stage.scan(root)
    before = ids(stage)[old]
    shutil.copy2(os.fsdecode(old), root.parent / "aside.mp4")
    os.unlink(old)
    assert stage.counts(root) == {"missing": 1, "unchanged": 1}
    os.makedirs(root / "found")
    shutil.move(root.parent / "aside.mp4", root / "found" / "new.mp4")
    assert stage.counts(root) == {"moved": 1, "unchanged": 1}
    assert ids(stage)[bytes(root / "found" / "new.mp4")] == before


def test_of_equal_files_those_with_the_same_name_belong_together(stage: Stage, root: Path) -> None:
    """Where names say nothing either, nothing is guessed."""
    moment = (1_600_000_000, 1_600_000_000)
    old = []
    for name in ("a", "b", "c"):
        old.append(put(root / "before" / f"{name}.mp4", "video, the same"))
        os.utime(old[-1], moment)
    stage.scan(root)
    before = ids(stage)
    shutil.copytree(root / "before", root.parent / "after")
    shutil.rmtree(root / "before")
    os.rename(root.parent / "after", root / "after")
    os.rename(root / "after" / "c.mp4", root / "after" / "z.mp4")
    stage.scan(root)
    after = ids(stage)
    assert after[bytes(root / "after" / "a.mp4")] == before[old[0]]
    assert after[bytes(root / "after" / "b.mp4")] == before[old[1]]


@pytest.mark.parametrize("at", range(1, 12))
def test_a_scan_that_dies_amid_moves_goes_on(stage: Stage, root: Path, at: int) -> None:
    """Whenever that is, the ids are those of an undisturbed one."""
    one, two = put(root / "a" / "1.mp4"), put(root / "b" / "2.mp4")
    more = [put(root / "c" / f"{number}.mp4") for number in range(5)]
    stage.scan(root)
    before = ids(stage)
    os.rename(one, one + b".aside")
    os.rename(two, one)
    os.rename(one + b".aside", two)
    os.rename(root / "c", root / "0")
    put(root / "new" / "n.mp4")
    stage.scan_that_dies(root, at)
    stage.check_catalogue()
    after = ids(stage)
    assert (after[one], after[two]) == (before[two], before[one])
    for path in more:
        assert after[path.replace(b"/c/", b"/0/")] == before[path]
    assert stage.counts(root) == {"unchanged": 9}


def test_a_dry_run_tells_moves_and_makes_none(stage: Stage, root: Path) -> None:
    """With the numbers that the scan has then."""
    old = [put(root / "b" / f"{number}.mp4") for number in range(3)]
    stage.scan(root)
    before = stage.tree()
    os.rename(root / "b", root / "a")
    os.rename(root / "a" / "0.mp4", root / "zero.mp4")
    assert stage.counts(root, dry_run=True) == {"moved": 3, "unchanged": 1}
    assert stage.tree() == before
    assert set(old) <= set(before)
    assert stage.counts(root) == {"moved": 3, "unchanged": 1}


def test_force_examines_what_has_moved(stage: Stage, root: Path) -> None:
    """And it is the same entry nonetheless."""
    old, new = put(root / "old.mp4"), bytes(root / "new.mp4")
    stage.scan(root)
    before = ids(stage)[old]
    os.rename(old, new)
    stage.pool.examined.clear()
    assert stage.counts(root, force=True) == {"moved": 1, "updated": 1}
    assert new in stage.pool.examined
    assert ids(stage)[new] == before


def test_a_thousand_copies_of_one_file_cost_no_million_looks(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new file is held against some of those that hold the same, not against all."""
    looks = 0

    class CountingOs:
        def __getattr__(self, name: str) -> Any:
            nonlocal looks
            looks += name == "stat"
            return getattr(os, name)

    original = put(root / "0.mp4")
    for number in range(1, 400):
        shutil.copy2(original, bytes(root / f"{number}.mp4"))
    stage.scan(root)
    for number in range(400, 800):
        shutil.copy2(original, bytes(root / f"{number}.mp4"))
    monkeypatch.setattr(sight, "os", CountingOs())
    assert stage.counts(root) == {"new": 400, "unchanged": 401}
    assert 0 < looks < 400 * 100


@pytest.mark.parametrize("other", ["d2/c.mp4", "d0/c.mp4"])
def test_a_moved_file_with_a_second_name_is_one_move_and_one_new_file(stage: Stage, root: Path, other: str) -> None:
    """An entry goes with one of them, and the other is not lost."""
    old = put(root / "d1" / "a.mp4")
    stage.scan(root)
    before = ids(stage)[old]
    for folder in ("d0", "d2"):
        (root / folder).mkdir()
    os.rename(old, root / "d0" / "b.mp4")
    os.link(root / "d0" / "b.mp4", root / other)
    assert stage.counts(root) == {"moved": 1, "new": 1, "unchanged": 1}
    after = ids(stage)
    assert set(after) == {bytes(root / "stays.mp4"), bytes(root / "d0" / "b.mp4"), bytes(root / other)}
    assert before in after.values()
    assert stage.counts(root) == {"unchanged": 3}
