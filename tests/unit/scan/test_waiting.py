"""Files of one folder that are examined at different times, since some had to wait: none gets lost among them."""

import os
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
