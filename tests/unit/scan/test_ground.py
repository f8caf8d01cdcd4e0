"""Volumes: what is not mounted, or is another one, says nothing about what was there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.scan import volume
from tests.factories import Stage, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The library's folder, with a file of its own and a folder for a disk."""
    folder = tmp_path / "videos"
    put(folder / "own.mp4")
    (folder / "disk").mkdir()
    return folder


class Machine:
    """A pretended table of mounts over real folders: to mount one is to put another folder in its place."""

    def __init__(self, table: Path, aside: Path) -> None:
        self._table = table
        self._aside = aside
        self._mounted: dict[Path, str] = {}
        self._kind = "nfs4"
        aside.mkdir()
        self._write()

    def mount(self, disk: str, point: Path, kind: str = "nfs4") -> None:
        """Show a disk's files at a folder; what lies there is hidden."""
        self._kind = kind
        os.rename(point, self._aside / f"under {point.name}")
        disk_folder = self._aside / disk
        disk_folder.mkdir(exist_ok=True)
        os.rename(disk_folder, point)
        self._mounted[point] = disk
        self._write()

    def unmount(self, point: Path) -> None:
        """Take it away again."""
        os.rename(point, self._aside / self._mounted.pop(point))
        os.rename(self._aside / f"under {point.name}", point)
        self._write()

    def rename(self, point: Path, name: str) -> None:
        """Let the disk at a folder go by another name."""
        self._mounted[point] = name
        self._write()

    def _write(self) -> None:
        lines = ["22 1 8:1 / / rw - ext4 /dev/sda1 rw"]
        for number, (point, disk) in enumerate(self._mounted.items()):
            lines.append(f"{30 + number} 22 8:{number} / {os.path.realpath(point)} rw - {self._kind} {disk}:/export rw")
        self._table.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which disks can be mounted without asking."""
    monkeypatch.setattr(volume, "MOUNTS", tmp_path / "mountinfo")
    return Machine(tmp_path / "mountinfo", tmp_path / "disks")


def fill(folder: Path, count: int) -> list[bytes]:
    return [put(folder / f"{number}.mp4") for number in range(count)]


def test_a_disk_that_is_not_mounted_loses_nothing(stage: Stage, root: Path, machine: Machine) -> None:
    """Neither its files nor the folder that is empty without it; the ledger says which volume is lacking."""
    disk = root / "disk"
    machine.mount("nas", disk)
    fill(disk / "films", 5)
    stage.scan(root)
    before = stage.tree()
    machine.unmount(disk)
    job = stage.scan(root)
    assert job.status is JobStatus.COMPLETE
    assert stage.tree() == before
    row = stage.ledger(job)[bytes(disk)]
    assert row.code == "OTHER_VOLUME"
    assert "nas:/export" in (row.reason or "")
    assert "is not mounted" in (row.reason or "")
    machine.mount("nas", disk)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": 6}
    assert stage.pool.examined == []


@pytest.mark.parametrize("shared", [False, True])
def test_a_disk_that_goes_away_while_a_scan_runs_loses_nothing(
    stage: Stage, root: Path, machine: Machine, shared: bool
) -> None:
    """It was there when the scan began; what was not found on it since is not gone."""
    stage.shared = shared
    disk = root / "disk"
    machine.mount("nas", disk)
    fill(disk / "films", 5)
    stage.scan(root)
    before = stage.tree()
    new = put(root / "a new one.mp4")
    seen: list[bytes] = []

    def unmount(_path: bytes) -> None:
        if not seen:
            machine.unmount(disk)
        seen.append(_path)

    for number in range(200):  # so many that the disk is listed after the first of them is examined
        put(root / f"0 {number:03d}" / "new.mp4")
    stage.pool.before_answer = unmount
    job = stage.scan(root)
    assert job.status is JobStatus.COMPLETE
    assert seen
    stage.check(job)
    if not shared:  # there all was listed before the first part was examined
        assert stage.ledger(job)[bytes(disk)].code == "OTHER_VOLUME"
    after = stage.tree()
    assert {path: after[path] for path in before} == before
    assert new in after
    stage.pool.before_answer = lambda _path: None
    machine.mount("nas", disk)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": len(after)}
    assert stage.pool.examined == []


def renew_inodes(folder: Path) -> None:
    """Let every file have another inode, and be the same otherwise."""
    for path in sorted(folder.rglob("*.mp4")):
        copy = path.with_suffix(".copy")
        shutil.copy2(path, copy)
        os.replace(copy, path)


def test_a_renamed_disk_that_is_scanned_bit_by_bit_is_not_read(stage: Stage, root: Path, machine: Machine) -> None:
    """What the first scans after that did not come to has its old inodes in the catalogue, and stays as it is."""
    disk = root / "disk"
    machine.mount("nas", disk)
    for name in ("a", "b", "c"):
        fill(disk / name, 10)
    stage.scan(root)
    machine.rename(disk, "nas with another name")
    renew_inodes(disk)
    stage.pool.examined.clear()
    assert stage.counts(disk / "a") == {"unchanged": 10}
    died, job = stage.scan_that_dies(root, 3)
    assert died
    assert job.result is not None
    assert job.result["unchanged"] == 31
    assert stage.counts(root) == {"unchanged": 31}
    assert stage.pool.examined == []
    renew_inodes(disk)  # under the name that is recorded by now, that means that files were replaced
    assert stage.counts(root) == {"unchanged": 1, "updated": 30}


@pytest.mark.parametrize("kind", ["vfat", "exfat", "fuse.sshfs", "cifs"])
def test_where_inodes_are_made_up_they_tell_nothing(stage: Stage, root: Path, machine: Machine, kind: str) -> None:
    """FAT has none, and what lies over a network or in user space may not hand them through."""
    disk = root / "disk"
    machine.mount("usb", disk, kind)
    paths = fill(disk, 10)
    stage.scan(root)
    before = stage.tree()
    renew_inodes(disk)
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": 11}
    assert stage.pool.examined == []
    put(paths[0], "video, another one")
    os.rename(paths[1], disk / "moved.mp4")
    assert stage.counts(root) == {"unchanged": 9, "updated": 1, "moved": 1}
    assert stage.tree()[bytes(disk / "moved.mp4")] == before[paths[1]]


def test_a_scan_of_another_folder_says_nothing_of_a_disk_that_is_away(
    stage: Stage, root: Path, machine: Machine
) -> None:
    """It was not looked for there."""
    machine.mount("nas", root / "disk")
    fill(root / "disk", 5)
    fill(root / "other", 3)
    stage.scan(root)
    machine.unmount(root / "disk")
    assert stage.counts(root / "other") == {"unchanged": 3}


def test_what_lies_under_a_mount_is_not_taken_for_the_disk(stage: Stage, root: Path, machine: Machine) -> None:
    """A few files in the folder that the disk hides do not prove that the disk's are gone."""
    disk = root / "disk"
    put(disk / "stray.mp4")
    machine.mount("nas", disk)
    fill(disk, 5)
    stage.scan(root)
    before = stage.tree()
    machine.unmount(disk)
    assert stage.counts(root) == {"unchanged": 1, "skipped": 1}
    assert stage.tree() == before


def test_another_disk_in_its_place_is_not_the_disk(stage: Stage, root: Path, machine: Machine) -> None:
    """What is on it comes into the catalogue when somebody says that it is meant to be there."""
    disk = root / "disk"
    machine.mount("nas", disk)
    fill(disk, 30)
    stage.scan(root)
    before = stage.tree()
    machine.unmount(disk)
    machine.mount("usb", disk)
    fill(disk, 3)
    job = stage.scan(root)
    assert stage.ledger(job)[bytes(disk)].code == "OTHER_VOLUME"
    assert stage.tree() == before
    counts = stage.counts(root, accept_loss=True)
    assert (counts["missing"], counts["unchanged"]) == (27, 1)
    assert stage.counts(root) == {"unchanged": 4}


def test_a_disk_that_goes_by_another_name_is_the_same(stage: Stage, root: Path, machine: Machine) -> None:
    """As its files show; nothing is examined again, though their inodes are others."""
    disk = root / "disk"
    machine.mount("nas", disk)
    paths = fill(disk, 20)
    put(disk / "bad.mp4", "broken")
    stage.scan(root)
    before = stage.tree()
    machine.unmount(disk)
    for path in (root.parent / "disks" / "nas").iterdir():
        shutil.copy2(path, path.with_name(path.name + ".copy"))
        os.replace(path.with_name(path.name + ".copy"), path)
    machine.mount("nas", disk)
    machine.rename(disk, "nas.local")
    stage.pool.examined.clear()
    assert stage.counts(root) == {"unchanged": 21, "failed": 1}
    assert stage.pool.examined == []
    assert stage.tree() == before
    os.rename(paths[0], disk / "renamed.mp4")  # the inodes that are known now are the present ones
    assert stage.counts(root) == {"moved": 1, "unchanged": 20, "failed": 1}


def test_a_library_whose_own_disk_is_another_is_offline(stage: Stage, root: Path, machine: Machine) -> None:
    """Even if there are videos on that one."""
    disk = root / "disk"
    machine.mount("nas", disk)
    fill(disk, 5)
    stage.scan(disk)
    before = stage.tree()
    machine.unmount(disk)
    put(disk / "stray.mp4")
    job = stage.scan(disk)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "LIBRARY_OFFLINE")
    assert "nas:/export" in (job.error or "")
    assert stage.tree() == before
    assert [library.state for library in stage.repository.libraries()] == ["offline"]
    (disk / "stray.mp4").unlink()
    machine.mount("nas", disk)
    assert stage.counts(disk) == {"unchanged": 5}
    assert [library.state for library in stage.repository.libraries()] == ["online"]


def test_a_new_mount_over_known_files_hides_them(stage: Stage, root: Path, machine: Machine) -> None:
    """They are there still, under it."""
    disk = root / "disk"
    fill(disk, 5)
    stage.scan(root)
    before = stage.tree()
    machine.mount("nas", disk)
    fill(disk, 3)
    assert stage.counts(root) == {"unchanged": 1, "skipped": 1}
    assert stage.tree() == before


def test_a_mount_over_an_empty_folder_is_simply_scanned(stage: Stage, root: Path, machine: Machine) -> None:
    """Nothing was known there."""
    stage.scan(root)
    machine.mount("nas", root / "disk")
    fill(root / "disk", 3)
    assert stage.counts(root) == {"new": 3, "unchanged": 1}


def test_a_targeted_scan_of_an_unmounted_folder_says_so(stage: Stage, root: Path, machine: Machine) -> None:
    """And takes nothing in it for gone."""
    disk = root / "disk"
    machine.mount("nas", disk)
    (disk / "films").mkdir()
    fill(disk / "films", 5)
    stage.scan(root)
    before = stage.tree()
    machine.unmount(disk)
    (disk / "films").mkdir()
    job = stage.scan(disk / "films")
    assert stage.ledger(job)[bytes(disk)].code == "OTHER_VOLUME"
    assert stage.tree() == before


@pytest.mark.parametrize("way", ["inode", "content"])
def test_a_file_whose_disk_is_away_has_not_moved(stage: Stage, root: Path, machine: Machine, way: str) -> None:
    """That its path leads nowhere proves nothing then; a like one elsewhere is another."""
    disk = root / "disk"
    machine.mount("nas", disk)
    [path] = fill(disk, 1)
    stage.scan(root)
    before = stage.tree()[path]
    machine.unmount(disk)
    copy: Callable[[str, Path], object] = os.link if way == "inode" else shutil.copy2
    copy(str(root.parent / "disks" / "nas" / "0.mp4"), root / "copy.mp4")
    stage.scan(root)
    assert stage.tree()[path] == before
    assert stage.tree()[bytes(root / "copy.mp4")][0] != before[0]
