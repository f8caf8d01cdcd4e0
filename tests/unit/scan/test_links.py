"""Symbolic links: left alone unless a library has them followed, and then as if what they lead to lay there."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from stoat_ferret.api.services.explain import explain
from stoat_ferret.api.services.scan import scan_rules
from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.library.models import Outcome
from stoat_ferret.scan.disk import DirectDisk
from stoat_ferret.scan.links import MOST_LINKS
from stoat_ferret.scan.reading import Reader
from tests.factories import Stage, put


@pytest.fixture(params=["alone", "shared"])
def stage(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """Scans by one worker, and by several."""
    stage.shared = request.param == "shared"
    return stage


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Path:
    """A library that has links followed, with a file that stays."""
    folder = tmp_path / "videos"
    put(folder / "stays.mp4")
    stage.scan(folder)
    follow(stage, True)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder elsewhere, with two videos."""
    put(tmp_path / "disk" / "a.mp4")
    put(tmp_path / "disk" / "below" / "b.mp4")
    return tmp_path / "disk"


def follow(stage: Stage, on: bool) -> None:
    [library] = stage.repository.libraries()
    stage.repository.update_library(library.id, follow_symlinks=on)


def told(stage: Stage, root: Path, **options: bool) -> dict[str, str | None]:
    """Scan, and give what was skipped: the path in the library, and the code."""
    job = stage.scan(root, **options)
    assert job.status is JobStatus.COMPLETE, job.error
    rows = stage.ledger(job).items()
    return {
        os.path.relpath(path, bytes(root)).decode(): row.code for path, row in rows if row.outcome is Outcome.SKIPPED
    }


def present(stage: Stage, root: Path) -> set[str]:
    return {
        os.path.relpath(path, bytes(root)).decode() for path, state in stage.states().items() if state == "available"
    }


def test_a_link_is_left_alone_unless_asked(stage: Stage, root: Path, disk: Path) -> None:
    """One to a file is reported, one to a folder passed over; neither is opened."""
    follow(stage, False)
    (root / "link").symlink_to(disk)
    (root / "a.mp4").symlink_to(disk / "a.mp4")
    assert told(stage, root) == {"a.mp4": "SYMLINK"}
    assert present(stage, root) == {"stays.mp4"}


def test_what_links_lead_to_counts_as_if_it_lay_there(stage: Stage, root: Path, disk: Path) -> None:
    """Of folders and of files; a second scan examines nothing."""
    (root / "link").symlink_to(disk)
    (root / "one.mp4").symlink_to(disk / "below" / "b.mp4")
    assert told(stage, root) == {}
    assert present(stage, root) == {"stays.mp4", "link/a.mp4", "link/below/b.mp4", "one.mp4"}
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": 4}
    assert stage.pool.examined == []


def test_two_names_of_one_file_are_one_content(stage: Stage, root: Path) -> None:
    """As with a hard link: two videos."""
    (root / "again.mp4").symlink_to(root / "stays.mp4")
    assert stage.counts(root) == {"new": 1, "unchanged": 1}
    assert len({video.content_id for video in stage.videos()}) == 1


def test_a_link_left_in_the_place_of_a_file_that_was_moved(stage: Stage, root: Path) -> None:
    """The file is where it was, as far as anybody can see, and in another place besides."""
    before = stage.tree()[bytes(root / "stays.mp4")]
    (root / "new").mkdir()
    (root / "stays.mp4").rename(root / "new" / "stays.mp4")
    (root / "stays.mp4").symlink_to(root / "new" / "stays.mp4")
    assert stage.counts(root) == {"new": 1, "unchanged": 1}
    assert stage.tree()[bytes(root / "stays.mp4")] == before


def test_a_file_is_moved_where_links_are_not_followed(stage: Stage, root: Path) -> None:
    """A link is then nothing."""
    follow(stage, False)
    stage.scan(root)
    video_id, _ = stage.tree()[bytes(root / "stays.mp4")]
    (root / "new").mkdir()
    (root / "stays.mp4").rename(root / "new" / "stays.mp4")
    (root / "stays.mp4").symlink_to(root / "new" / "stays.mp4")
    assert stage.counts(root) == {"moved": 1, "skipped": 1}
    assert stage.tree()[bytes(root / "new" / "stays.mp4")][0] == video_id


def test_a_way_that_leads_back_ends(stage: Stage, root: Path, disk: Path) -> None:
    """Into a folder that it is in: at once, by the library's own from outside, and by two that link in turn."""
    put(root / "in" / "c.mp4")
    (root / "in" / "up").symlink_to(root)
    (root / "out").symlink_to(disk)
    (disk / "back").symlink_to(root / "in")
    (disk / "below" / "self").symlink_to(disk / "below")
    skipped = told(stage, root)
    assert set(skipped.values()) == {"LINK_LOOP"}
    assert {"in/up", "out/below/self"} <= set(skipped)
    assert {"stays.mp4", "in/c.mp4", "out/a.mp4", "out/below/b.mp4", "out/back/c.mp4"} <= present(stage, root)


def test_a_way_through_too_many_links_ends(stage: Stage, root: Path, tmp_path: Path) -> None:
    """Folders that link to each other would make a tree that grows beyond all measure."""
    names = [f"d{number}" for number in range(MOST_LINKS + 1)]
    for number, name in enumerate(names):
        put(tmp_path / name / "v.mp4")
        if number:
            (tmp_path / names[number - 1] / "next").symlink_to(tmp_path / name)
    (root / "first").symlink_to(tmp_path / names[0])
    deepest = "/".join(["first", *["next"] * MOST_LINKS])
    assert told(stage, root) == {deepest: "LINK_DEPTH"}
    assert len(present(stage, root)) == 1 + MOST_LINKS


def test_a_link_out_of_the_media_roots_is_refused(stage: Stage, root: Path, disk: Path) -> None:
    """Nothing of what it leads to is read; the reason names the setting."""
    stage.settings = stage.settings.model_copy(update={"media_roots": (root,)})
    (root / "link").symlink_to(disk)
    (root / "a.mp4").symlink_to(disk / "a.mp4")
    (root / "notes.txt").symlink_to(disk / "a.mp4")
    (root / "inside.mp4").symlink_to(root / "stays.mp4")
    stage.pool.examined.clear()
    job = stage.scan(root)
    codes = {os.path.basename(path): row.code for path, row in stage.ledger(job).items() if row.code}
    assert codes == {b"link": "LINK_OUTSIDE", b"a.mp4": "LINK_OUTSIDE"}
    assert "STOAT_MEDIA_ROOTS" in (stage.ledger(job)[bytes(root / "link")].reason or "")
    assert stage.pool.examined == [bytes(root / "inside.mp4")]
    assert present(stage, root) == {"stays.mp4", "inside.mp4"}


def test_what_lies_behind_a_broken_link_stays(stage: Stage, root: Path, disk: Path) -> None:
    """A disk that is not mounted looks like that; once it is back nothing has happened."""
    (root / "link").symlink_to(disk)
    (root / "one.mp4").symlink_to(disk / "below" / "b.mp4")
    stage.scan(root)
    before = stage.tree()
    disk.rename(disk.with_name("away"))
    for _ in range(2):
        assert told(stage, root) == {"link": "LINK_BROKEN", "one.mp4": "LINK_BROKEN"}
        assert stage.tree() == before
    disk.with_name("away").rename(disk)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": 4}
    assert stage.pool.examined == []


def test_what_lay_in_a_folder_that_is_empty_behind_its_link_stays(stage: Stage, root: Path, disk: Path) -> None:
    """It may be a mount point; whoever means it says so."""
    (root / "link").symlink_to(disk)
    stage.scan(root)
    before = stage.tree()
    shutil.rmtree(disk)
    disk.mkdir()
    assert told(stage, root) == {"link": "LINK_EMPTY"}
    assert stage.tree() == before
    assert stage.counts(root, accept_loss=True) == {"unchanged": 1, "missing": 2}


def test_what_lay_behind_a_link_that_is_gone_is_missing(stage: Stage, root: Path, disk: Path) -> None:
    """Likewise once links are not followed any more; it comes back as it was."""
    (root / "link").symlink_to(disk)
    stage.scan(root)
    before = stage.tree()
    (root / "link").unlink()
    assert stage.counts(root, accept_loss=True) == {"unchanged": 1, "missing": 2}
    (root / "link").symlink_to(disk)
    assert stage.counts(root) == {"unchanged": 1, "restored": 2}
    assert stage.tree() == before
    follow(stage, False)
    assert stage.counts(root, accept_loss=True) == {"unchanged": 1, "missing": 2}


def test_a_part_behind_a_link_is_scanned_like_the_whole(stage: Stage, root: Path, disk: Path) -> None:
    """A folder and a single file."""
    (root / "link").symlink_to(disk)
    (root / "one.mp4").symlink_to(disk / "a.mp4")
    assert stage.counts(root / "link" / "below") == {"new": 1}
    assert stage.counts(root, recursive=False, only=b"one.mp4") == {"new": 1}
    assert present(stage, root) == {"stays.mp4", "link/below/b.mp4", "one.mp4"}
    (root / "one.mp4").unlink()
    (root / "one.mp4").symlink_to(disk / "gone.mp4")
    assert told(stage, root, recursive=False, only=b"one.mp4") == {"one.mp4": "LINK_BROKEN"}  # type: ignore[arg-type]
    assert "one.mp4" in present(stage, root)


def test_rules_take_a_link_for_what_it_leads_to(stage: Stage, root: Path, disk: Path) -> None:
    """A pattern for folders leaves out one to a folder."""
    [library] = stage.repository.libraries()
    stage.repository.update_library(library.id, ignore=("link/", "one.*", "gone.*"))
    (root / "link").symlink_to(disk)
    (root / "one.mp4").symlink_to(disk / "a.mp4")
    (root / "gone.mp4").symlink_to(disk / "gone.mp4")
    assert told(stage, root) == {}
    assert present(stage, root) == {"stays.mp4"}


def test_a_young_file_behind_a_link_waits(stage: Stage, root: Path, disk: Path) -> None:
    """What is looked at again is the file, not the link."""
    [library] = stage.repository.libraries()
    stage.repository.update_library(library.id, settle_seconds=0.4)
    put(disk / "young.mp4", age_seconds=0.1)
    (root / "young.mp4").symlink_to(disk / "young.mp4")
    assert stage.counts(root) == {"new": 1, "unchanged": 1}


@pytest.mark.parametrize(
    ("name", "target", "decision", "code"),
    [
        ("here.mp4", "disk/a.mp4", "not_scanned", None),
        ("gone.mp4", "disk/gone.mp4", "symlink", "LINK_BROKEN"),
        ("out.mp4", "other/x.mp4", "outside_roots", None),
    ],
)
def test_it_is_explained(
    stage: Stage, root: Path, disk: Path, name: str, target: str, decision: str, code: str | None
) -> None:
    """In the words of the scan."""
    put(disk.parent / "other" / "x.mp4")
    settings = stage.settings.model_copy(update={"media_roots": (root, disk)})
    (root / name).symlink_to(disk.parent / target)
    asking = explain(bytes(root / name), settings, stage.repository, stage.queue, scan_rules(settings))
    found = asyncio.run(asking)
    assert (found.decision, found.code) == (decision, code)


def test_the_content_behind_a_link_is_hashed(root: Path, disk: Path) -> None:
    """As that of the file itself."""
    (root / "a.mp4").symlink_to(disk / "a.mp4")
    reader = Reader(DirectDisk(), lambda _count: None)
    through = reader.hash(bytes(root / "a.mp4"), follow_symlink=True)
    assert through == reader.hash(bytes(disk / "a.mp4"))


def test_a_folder_behind_a_broken_link_with_a_videos_name_stays(stage: Stage, root: Path, disk: Path) -> None:
    """Nobody can see what it led to."""
    (root / "pack.mp4").symlink_to(disk)
    stage.scan(root)
    before = stage.tree()
    disk.rename(disk.with_name("away"))
    assert told(stage, root) == {"pack.mp4": "LINK_BROKEN"}
    assert stage.tree() == before


def test_a_copy_of_what_lies_behind_a_broken_link_is_no_move(stage: Stage, root: Path, disk: Path) -> None:
    """The entry stays for the original, which comes back."""
    (root / "usb").symlink_to(disk)
    stage.scan(root)
    before = stage.tree()
    shutil.copy2(disk / "a.mp4", root / "copy.mp4")
    disk.rename(disk.with_name("away"))
    assert stage.counts(root) == {"new": 1, "unchanged": 1, "skipped": 1}
    disk.with_name("away").rename(disk)
    assert stage.counts(root) == {"unchanged": 4}
    assert {path: stage.tree()[path] for path in before} == before


def test_a_file_known_by_two_ways_is_renamed_in_both(stage: Stage, root: Path) -> None:
    """Each entry goes with the name in its own folder."""
    old, new = put(root / "z" / "b.mp4"), root / "z" / "c.mp4"
    (root / "a_fav").symlink_to(root / "z")
    stage.scan(root)
    before = stage.tree()
    os.rename(old, new)
    assert stage.counts(root) == {"moved": 2, "unchanged": 1}
    after = stage.tree()
    assert after[bytes(new)] == before[old]
    assert after[bytes(root / "a_fav" / "c.mp4")] == before[bytes(root / "a_fav" / "b.mp4")]


def test_a_link_to_a_file_that_was_renamed_gives_nothing_away(stage: Stage, root: Path) -> None:
    """The entry of the link stays with it, broken as it is."""
    old, new = put(root / "b.mp4"), root / "c.mp4"
    (root / "a.mp4").symlink_to(root / "b.mp4")
    stage.scan(root)
    before = stage.tree()
    os.rename(old, new)
    stage.scan(root)
    assert stage.tree()[bytes(new)] == before[old]
    assert stage.tree()[bytes(root / "a.mp4")] == before[bytes(root / "a.mp4")]
