"""A scan of a single file says nothing about the rest of its folder."""

import os
from pathlib import Path

from sqlalchemy import select

from stoat_ferret.db.tables import folders
from tests.factories import Stage, put


def digest_of(stage: Stage, folder: Path) -> bytes | None:
    with stage.catalogue.read() as connection:
        query = select(folders.c.digest).where(folders.c.path_bytes == os.fsencode(folder))
        digest: bytes | None = connection.execute(query).scalar_one()
        return digest


def test_a_single_file_never_stands_for_its_folder(stage: Stage, tmp_path: Path) -> None:
    """What else has changed in it is found by the next scan, which trusts a digest."""
    root = tmp_path / "v"
    put(root / "a.mp4", "video a")
    put(root / "b.mp4", "video b")
    stage.scan(root)
    assert digest_of(stage, root) is not None
    (root / "b.mp4").unlink()
    put(root / "a.mp4", "video of another size")
    assert stage.counts(root, recursive=False, only=b"a.mp4") == {"updated": 1}
    assert digest_of(stage, root) is None
    assert stage.counts(root) == {"unchanged": 1, "missing": 1}
    assert stage.counts(root) == {"unchanged": 1}


def test_nor_does_one_in_a_folder_that_nobody_has_listed(stage: Stage, tmp_path: Path) -> None:
    """Though all that is in it may be that file."""
    root = tmp_path / "v"
    put(root / "a.mp4", "video a")
    stage.scan(root)
    put(root / "below" / "x.mp4", "video x")
    assert stage.counts(root / "below", recursive=False, only=b"x.mp4") == {"new": 1}
    assert digest_of(stage, root / "below") is None
