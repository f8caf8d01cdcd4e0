"""Which volume a folder lies on, and whether another machine's listing is of what lies here."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret import paths
from stoat_ferret.scan import volume
from stoat_ferret.scan.disk import DirectDisk
from stoat_ferret.scan.volume import Mounts, Volume, holds, identify

MOUNTS = b"""\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /mnt rw,relatime shared:5 - tmpfs tmpfs rw
31 30 0:41 / /mnt/na\\040s rw,relatime shared:6 - nfs4 nas:/export rw
32 30 8:17 / /mnt/usb rw - exfat /dev/sdb1 rw
33 30 8:33 / /mnt/usb rw - ext4 /dev/sdc1 rw
"""
ELSEWHERE = Volume("other:/export", "nfs4", "")


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up table of mounts."""
    table, boot = tmp_path / "mountinfo", tmp_path / "boot_id"
    table.write_bytes(MOUNTS)
    boot.write_text("boot\n")
    monkeypatch.setattr(volume, "MOUNTS", table)
    monkeypatch.setattr(volume, "BOOT_ID", boot)
    monkeypatch.setattr(volume, "BY_UUID", tmp_path / "none")


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/home/me", Volume("/dev/sda1", "ext4", "boot")),
        (b"/mnt/na s/films", Volume("nas:/export", "nfs4", "")),
        (b"/mnt/nas", Volume("tmpfs", "tmpfs", "boot")),
        (b"/mnt/usb/a/b", Volume("/dev/sdc1", "ext4", "boot")),
    ],
)
def test_the_innermost_and_last_mount_of_a_place_counts(path: bytes, expected: Volume) -> None:
    """Names with spaces are read; what comes over no network is told apart by the machine."""
    found = identify(path)
    assert replace(found, name=found.name.partition(":")[0]) == expected


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "points"),
    [
        (b"/home/me", {b"/"}),
        (b"/mnt/usb/films", {b"/", b"/mnt", b"/mnt/usb"}),
        (b"/mnt", {b"/", b"/mnt", b"/mnt/na s", b"/mnt/usb"}),
    ],
)
def test_what_is_mounted_elsewhere_is_no_news_of_a_folder(path: bytes, points: set[bytes]) -> None:
    """Only what is above it, and below."""
    assert {mount.point for mount in Mounts().about(path)} == points


@pytest.mark.usefixtures("mounts")
def test_a_disk_is_known_by_its_uuid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is plugged in."""
    links = tmp_path / "by-uuid"
    links.mkdir()
    (links / "1234-ABCD").symlink_to("/dev/sda1")
    monkeypatch.setattr(volume, "BY_UUID", links)
    assert identify(b"/home") == Volume("/dev/sda1", "ext4", "1234-ABCD")


def test_a_real_folder_is_on_the_same_volume_as_itself(tmp_path: Path) -> None:
    """And what cannot be told is the same as nothing."""
    assert identify(os.fsencode(tmp_path)).same_as(identify(os.fsencode(tmp_path)))
    assert not Volume("", "", "").same_as(Volume("", "", ""))


def part(folder: Path, count: int) -> list[dict[str, Any]]:
    """Make files, and give the folder as a part of a scan names it."""
    folder.mkdir(exist_ok=True)
    files: list[Any] = []
    for number in range(count):
        file = folder / f"{number}.mp4"
        file.write_bytes(b"x" * number)
        status = file.stat()
        files.append([paths.encode_base64(os.fsencode(file.name)), [status.st_size, status.st_mtime_ns, 0, 0], None])
    return [{"path": paths.encode_base64(os.fsencode(folder)), "files": files}]


def test_a_listing_from_elsewhere_is_compared_by_a_sample(tmp_path: Path) -> None:
    """A tenth may have changed since; if more differs, this is another folder."""
    folders, root = part(tmp_path / "videos", 20), os.fsencode(tmp_path / "videos")
    assert holds(folders, lambda path: path, root, ELSEWHERE, DirectDisk())
    for number in range(2):
        (tmp_path / "videos" / f"{number}.mp4").unlink()
    assert holds(folders, lambda path: path, root, ELSEWHERE, DirectDisk())
    (tmp_path / "videos" / "2.mp4").write_bytes(b"longer than it was")
    assert not holds(folders, lambda path: path, root, ELSEWHERE, DirectDisk())


def test_the_same_volume_needs_no_sample(tmp_path: Path) -> None:
    """All files may have changed since: they are examined as they are."""
    folders, root = part(tmp_path / "videos", 3), os.fsencode(tmp_path / "videos")
    for file in (tmp_path / "videos").iterdir():
        file.unlink()
    assert holds(folders, lambda path: path, root, identify(root), DirectDisk())


def test_a_folder_is_looked_for_where_it_lies_here(tmp_path: Path) -> None:
    """It may be mounted elsewhere on this machine."""
    folders = part(tmp_path / "there", 5)
    os.rename(tmp_path / "there", tmp_path / "here")
    root = os.fsencode(tmp_path / "there")

    def here(path: bytes) -> bytes:
        return path.replace(b"/there", b"/here")

    assert holds(folders, here, root, ELSEWHERE, DirectDisk())
    assert not holds(folders, lambda path: path, root, ELSEWHERE, DirectDisk())


def test_a_disk_that_says_nothing_holds_no_part(tmp_path: Path) -> None:
    """Whoever was asked to do it lets another one."""

    class Silent(DirectDisk):
        def call(self, *_asked: Any) -> Any:
            raise TimeoutError

    assert not holds([], lambda path: path, bytes(tmp_path), identify(bytes(tmp_path)), Silent())
