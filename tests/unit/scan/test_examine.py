"""Files on their way to the probe processes."""

from pathlib import Path
from typing import cast

import pytest

from stoat_ferret.library.models import FileKey
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.scan.compare import FolderChanges, Seen
from stoat_ferret.scan.examine import Examiner, OpenFolder
from stoat_ferret.scan.listing import FileEntry
from stoat_ferret.scan.rules import as_it_is
from stoat_ferret.scan.sight import Sight
from tests.factories import FakePool, put

BUSY, FREE = 7, 8


class PoolWithABusyDevice(FakePool):
    """Takes nothing of one device for a while."""

    busy = True

    def takes(self, device: int) -> bool:
        return super().takes(device) and not (self.busy and device == BUSY)


@pytest.fixture
def folder(tmp_path: Path) -> OpenFolder:
    """A folder whose files are waited for."""
    changes = FolderChanges(probe=(), restored=(), rejected=(), unchanged=0, newly_counted=0, gone=())
    return OpenFolder(path=bytes(tmp_path), library_id="", known=None, digest=None, changes=changes, remaining=3)


def seen(path: bytes, device: int) -> Seen:
    return Seen(path, FileEntry(path.rpartition(b"/")[2], FileKey(1, 1, 1, device)), None)


def test_a_file_on_a_busy_device_lets_others_by(folder: OpenFolder, tmp_path: Path) -> None:
    """And is examined once its device is free; the order is kept otherwise."""
    paths = [put(tmp_path / f"{number}.mp4") for number in range(3)]
    pool = PoolWithABusyDevice()
    examiner = Examiner(lambda: cast("ProbePool", pool), Sight(as_it_is))
    examiner.add(folder, [seen(path, device) for path, device in zip(paths, (BUSY, FREE, FREE), strict=True)])
    while len(pool.examined) < 2:
        examiner.step(0.01)
    assert examiner.step(0.01) == []
    assert pool.examined == paths[1:]
    pool.busy = False
    while len(pool.examined) < 3:
        examiner.step(0.01)
    assert pool.examined == [*paths[1:], paths[0]]
