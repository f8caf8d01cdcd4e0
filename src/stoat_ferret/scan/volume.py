"""Which volume a folder lies on, and whether what lies here is what another machine has listed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stoat_ferret import paths
from stoat_ferret.scan.walk import join

MOUNTS = Path("/proc/self/mountinfo")
BY_UUID = Path("/dev/disk/by-uuid")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SAMPLE = 32
"""Files that are compared where the volumes' names do not tell."""
LIKE_ENOUGH = 0.9
"""The part of them that must be as it was listed: some may have changed since."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted file system, as far as its name tells it from others."""

    source: str
    """What is mounted, as `/dev/sdb1` or `nas:/export`; empty where that cannot be found out."""
    kind: str
    """The file system's type."""
    name: str
    """Its UUID; for what has none and comes over no network, the machine as it was booted."""

    def same_as(self, other: "Volume") -> bool:
        """True where both surely are one; False where that cannot be told."""
        return bool(self.source) and self == other

    def to_json(self) -> dict[str, str]:
        """Give it as plain JSON values."""
        return asdict(self)


def identify(path: bytes) -> Volume:
    """Tell which volume a folder lies on."""
    try:
        mounts = MOUNTS.read_bytes().splitlines()
    except OSError:
        return Volume("", "", "")
    found = _mount_of(os.path.realpath(path), mounts)
    if found is None:
        return Volume("", "", "")
    kind, source = found
    if ":" in source or source.startswith("//"):
        return Volume(source, kind, "")
    return Volume(source, kind, _uuid(source) or _boot_id())


def _mount_of(path: bytes, mounts: Sequence[bytes]) -> tuple[str, str] | None:
    """Give type and source of the mount that a path lies on; the last one of a place hides the earlier ones.

    The format is that of proc_pid_mountinfo(5): the mount point is the fifth field, after a lone dash follow type and
    source.
    """
    best, found = -1, None
    for line in mounts:
        fields = line.split(b" ")
        point = _unescaped(fields[4])
        if paths.is_below(path, point) and len(point) >= best:
            dash = fields.index(b"-")
            best, found = len(point), (os.fsdecode(fields[dash + 1]), os.fsdecode(_unescaped(fields[dash + 2])))
    return found


def _unescaped(field: bytes) -> bytes:
    for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, plain)
    return field


def _uuid(source: str) -> str:
    try:
        device = os.path.realpath(source)
        links = [link for link in BY_UUID.iterdir() if os.path.realpath(link) == device]
    except OSError:
        return ""
    return links[0].name if links else ""


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def holds(folders: Sequence[dict[str, Any]], here: Callable[[bytes], bytes], root: bytes, listed_on: Volume) -> bool:
    """Tell whether the files of a part lie on this machine: the volume is the same, or a sample of them looks the same.

    Args:
        folders: the part's folders with their files, as `scan.parts` writes them.
        here: tells where a path of the catalogue lies on this machine.
        root: the folder that is scanned.
        listed_on: the volume that it was listed on.
    """
    if identify(here(root)).same_as(listed_on):
        return True
    sample: list[tuple[bytes, list[int]]] = []
    for piece in folders:
        folder = paths.decode_base64(piece["path"])
        sample += [(join(folder, paths.decode_base64(name)), key) for name, key, _ in piece["files"]]
        if len(sample) >= SAMPLE:
            break
    like = sum(_is_as_listed(here(path), key) for path, key in sample[:SAMPLE])
    return like >= LIKE_ENOUGH * len(sample[:SAMPLE])


def _is_as_listed(path: bytes, key: Sequence[int]) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return [status.st_size, status.st_mtime_ns] == list(key[:2])
