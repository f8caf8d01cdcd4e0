"""A later version of the program, whose probe tells more: what was examined before is looked at again, once."""

import os
from pathlib import Path

import pytest
from sqlalchemy import update

from stoat_ferret.db.tables import folders, rejects, videos
from stoat_ferret.media.info import PROBE_VERSION
from tests.factories import Stage, put


@pytest.fixture(params=["alone", "shared"])
def stage(stage: Stage, request: pytest.FixtureRequest) -> Stage:
    """Scans by one worker, and by several."""
    stage.shared = request.param == "shared"
    return stage


def as_before(stage: Stage) -> None:
    """Make the catalogue what an earlier version has left: the digests of folders are others, too."""
    with stage.catalogue.write() as connection:
        for table in (videos, rejects):
            connection.execute(update(table).values(probe_version=PROBE_VERSION - 1))
        connection.execute(update(folders).values(digest=b"of an earlier version"))
    stage.pool.examined.clear()


def test_every_file_is_looked_at_once_more(stage: Stage, tmp_path: Path) -> None:
    """Ids stay, and the ledger says that nothing has happened to the files."""
    paths = {put(tmp_path / "videos" / name) for name in ("a.mp4", "b.mp4")}
    stage.scan(tmp_path / "videos")
    before = stage.tree()
    assert stage.counts(tmp_path / "videos") == {"unchanged": 2}
    as_before(stage)
    job = stage.scan(tmp_path / "videos")
    stage.check(job)
    assert set(stage.pool.examined) == paths
    assert stage.tree() == before
    rows = stage.ledger(job)
    assert {path: (rows[path].outcome, rows[path].code) for path in paths} == dict.fromkeys(
        paths, ("updated", "PROBE_SAYS_MORE")
    )
    assert stage.counts(tmp_path / "videos") == {"unchanged": 2}
    assert len(stage.pool.examined) == 2


def test_an_edited_file_is_not_said_to_be_as_it_was(stage: Stage, tmp_path: Path) -> None:
    """It is examined for that reason, too."""
    path = put(tmp_path / "videos/a.mp4")
    stage.scan(tmp_path / "videos")
    as_before(stage)
    put(tmp_path / "videos/a.mp4", "video, another one")
    job = stage.scan(tmp_path / "videos")
    assert (stage.ledger(job)[path].outcome, stage.ledger(job)[path].code) == ("updated", None)


def test_what_was_no_video_gets_another_chance(stage: Stage, tmp_path: Path) -> None:
    """The later version may understand it; what ended the probe's process waits to be asked for."""
    odd, bad = put(tmp_path / "videos/odd.mp4", "broken"), put(tmp_path / "videos/bad.mp4", "broken")
    stage.scan(tmp_path / "videos")
    with stage.catalogue.write() as connection:
        connection.execute(update(rejects).where(rejects.c.path_bytes == bad).values(code="PROBE_CRASHED"))
    as_before(stage)
    assert stage.counts(tmp_path / "videos") == {"failed": 2}
    assert stage.pool.examined == [odd]
    stage.pool.examined.clear()
    assert stage.counts(tmp_path / "videos") == {"failed": 2}
    assert stage.pool.examined == []


def test_a_file_that_has_moved_meanwhile_is_looked_at_where_it_is(stage: Stage, tmp_path: Path) -> None:
    """Its entry goes with it; or the folder's digest would hide it from then on."""
    old, new = put(tmp_path / "videos/old.mp4"), bytes(tmp_path / "videos/new.mp4")
    stage.scan(tmp_path / "videos")
    before = stage.tree()[old]
    as_before(stage)
    os.rename(old, new)
    assert stage.counts(tmp_path / "videos") == {"moved": 1}
    assert stage.pool.examined == [new]
    assert stage.tree() == {new: before}
    assert stage.counts(tmp_path / "videos") == {"unchanged": 1}


def test_a_missing_one_is_looked_at_when_it_is_back(stage: Stage, tmp_path: Path) -> None:
    """It is told as restored."""
    path, aside = put(tmp_path / "videos/a.mp4"), tmp_path / "aside.mp4"
    put(tmp_path / "videos/b.mp4")
    stage.scan(tmp_path / "videos")
    os.rename(path, aside)
    stage.scan(tmp_path / "videos")
    as_before(stage)
    os.rename(aside, path)
    assert stage.counts(tmp_path / "videos") == {"restored": 1, "updated": 1}
    assert path in stage.pool.examined
    assert stage.counts(tmp_path / "videos") == {"unchanged": 2}
