"""Files of one folder that are examined at different times, since some had to wait: none gets lost among them."""

import os
import time
from pathlib import Path

import pytest

from stoat_ferret.scan import parts
from tests.factories import Stage, put


@pytest.fixture(params=[None, 1, 3, 4, 200])
def stage(stage: Stage, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Scans by one worker, and by several with so many files in a part."""
    stage.shared = request.param is not None
    monkeypatch.setattr(parts, "PART_FILES", request.param or parts.PART_FILES)
    return stage


def settle(stage: Stage, seconds: float) -> None:
    [library] = stage.repository.libraries()
    stage.repository.update_library(library.id, settle_seconds=seconds)


def test_young_files_of_one_folder(stage: Stage, tmp_path: Path) -> None:
    """Each settles at a moment of its own; all are in the catalogue, and the next scan has nothing to do."""
    put(tmp_path / "v" / "old.mp4")
    stage.scan(tmp_path / "v")
    settle(stage, 0.6)
    for number in range(6):
        put(tmp_path / "v" / f"{number}.mp4", age_seconds=0.1 * number)
        put(tmp_path / "v" / "in" / f"{number}.mp4", age_seconds=0.08 * number)
    put(tmp_path / "v" / "in" / "old.mp4")
    assert stage.counts(tmp_path / "v") == {"new": 13, "unchanged": 1}
    stage.pool.examined.clear()
    assert stage.counts(tmp_path / "v") == {"unchanged": 14}
    assert stage.pool.examined == []


def test_files_that_were_all_replaced(stage: Stage, tmp_path: Path) -> None:
    """As by a program that writes aside and renames, and keeps the time: they wait for the walk's end."""
    for folder in ("v", "v/in"):
        for number in range(5):
            put(tmp_path / folder / f"{number}.mp4")
    stage.scan(tmp_path / "v")
    before = stage.tree()
    for folder in ("v", "v/in"):
        for number in range(5):
            put(tmp_path / "aside.mp4", "video, another one")
            os.rename(tmp_path / "aside.mp4", tmp_path / folder / f"{number}.mp4")
    put(tmp_path / "v" / "in" / "new.mp4")
    assert stage.counts(tmp_path / "v") == {"updated": 10, "new": 1}
    assert {path: stage.tree()[path] for path in before} == before
    assert stage.counts(tmp_path / "v") == {"unchanged": 11}


def test_a_part_of_a_film_is_waited_for_while_it_may_be_copied(stage: Stage, tmp_path: Path) -> None:
    """Though it can be played as far as it goes: a copy may pause. After a quarter of an hour it is what there is."""
    path = put(tmp_path / "videos/half.mp4", "video cut short", age_seconds=0)
    os.utime(path, (time.time() - 60,) * 2)
    put(tmp_path / "videos/whole.mp4")
    job = stage.scan(tmp_path / "videos")
    row = stage.ledger(job)[path]
    assert (row.outcome, row.code) == ("skipped", "STILL_WRITTEN")
    assert "Only the first part of the file is there" in (row.reason or "")
    assert path not in stage.tree()
    (again,) = stage.waiting()
    assert again.payload["looks"] == 1
    os.utime(path, (time.time() - 1000,) * 2)
    assert stage.counts(tmp_path / "videos") == {"new": 1, "unchanged": 1}
    put(tmp_path / "videos/old and cut.mp4", "video cut short")
    assert stage.counts(tmp_path / "videos") == {"new": 1, "unchanged": 2}


def test_a_known_film_that_is_copied_over_stays_as_it_was_meanwhile(stage: Stage, tmp_path: Path) -> None:
    """Its entry is neither broken nor half a film."""
    path = put(tmp_path / "videos/a.mp4", "video whole")
    stage.scan(tmp_path / "videos")
    before = stage.tree()
    put(path, "video cut short", age_seconds=0)
    os.utime(path, (time.time() - 60,) * 2)
    stage.scan(tmp_path / "videos")
    assert stage.tree() == before
    assert [video.title for video in stage.videos()] == ["whole"]
    put(path, "video new and whole")
    stage.scan(tmp_path / "videos")
    assert [video.title for video in stage.videos()] == ["new and whole"]


def test_many_folders_are_looked_at_again_by_one_scan(stage: Stage, tmp_path: Path) -> None:
    """A job for each would bury all others in the list."""
    for number in range(6):
        put(tmp_path / f"videos/films/{number}/broken.mp4", "broken", age_seconds=0)
        os.utime(tmp_path / f"videos/films/{number}/broken.mp4", (time.time() - 60,) * 2)
    put(tmp_path / "videos/other.mp4")
    stage.scan(tmp_path / "videos")
    (again,) = stage.waiting()
    assert again.payload["path"] == str(tmp_path / "videos/films")
    assert again.payload["recursive"]
    assert again.payload["looks"] == 1
    for number in range(2):
        put(tmp_path / f"videos/films/{number}/broken.mp4", "video")
    for number in range(2, 4):
        put(tmp_path / f"videos/films/{number}/broken.mp4", "broken")
    stage.scan(tmp_path / "videos")
    assert sorted(job.payload["path"] for job in stage.waiting()) == [
        str(tmp_path / f"videos/films/{number}") for number in (4, 5)
    ]
