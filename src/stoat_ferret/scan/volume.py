"""Which volume a folder lies on, and whether what lies here is what another machine has listed."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stoat_ferret import paths
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.listing import join

MOUNTS = Path("/proc/self/mountinfo")
BY_UUID = Path("/dev/disk/by-uuid")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RENUMBERING = frozenset({"vfat", "msdos", "exfat", "fuse", "cifs", "smb3", "smbfs", "9p", "afs"})
"""Types of file systems that keep no inode numbers: FAT has none, and those over a network or in user space may not
hand them through (Linux: fs/fat/inode.c, fs/exfat/inode.c; mount.cifs(8), noserverino; fuse(8), noforget)."""
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
    """Its UUID; for what has none and comes over no network, the machine as it was booted and what it calls it."""
    root: str = "/"
    """The folder of the file system that is mounted: others of it may be elsewhere."""

    @property
    def renumbers(self) -> bool:
        """True where the system makes inode numbers up as it goes, so that a file may have another one at any time."""
        return self.kind in RENUMBERING or self.kind.startswith("fuse.")

    def same_as(self, other: "Volume") -> bool:
        """True where both surely are one; False where that cannot be told."""
        return bool(self.source) and self == other

    def to_json(self) -> dict[str, str]:
        """Give it as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the table of mounts."""

    point: bytes
    source: str
    kind: str
    root: str


class Mounts:
    """The file systems that are mounted on this machine, as they were when this was made."""

    def __init__(self) -> None:
        try:
            lines = MOUNTS.read_bytes().splitlines()
        except OSError:
            lines = []
        # The last one of a place hides the earlier ones.
        self._by_point = {mount.point: mount for mount in map(_mount, lines)}
        self._volumes: dict[bytes, Volume] = {}

    def about(self, path: bytes) -> frozenset[Mount]:
        """Give what is mounted at a folder, above it or below it: all that decides what lies there."""
        real = os.path.realpath(path)
        return frozenset(
            mount
            for mount in self._by_point.values()
            if paths.is_below(mount.point, real) or paths.is_below(real, mount.point)
        )

    def volume_of(self, path: bytes) -> Volume:
        """Tell which volume a folder lies on."""
        for folder in reversed(paths.with_ancestors(os.path.realpath(path))):
            mount = self._by_point.get(folder)
            if mount is not None:
                if folder not in self._volumes:
                    self._volumes[folder] = _volume(mount)
                return self._volumes[folder]
        return Volume("", "", "")

    def point_of(self, path: bytes) -> bytes:
        """Give the mount point that a path lies below as it is written; no link is followed, and nothing is touched."""
        return next((folder for folder in reversed(paths.with_ancestors(path)) if folder in self._by_point), b"/")

    def points_below(self, path: bytes) -> list[bytes]:
        """Give the places under a folder at which another volume begins, written as that folder is."""
        real = os.path.realpath(path)
        inside = [point for point in self._by_point if point != real and paths.is_below(point, real)]
        return sorted(join(path, point[len(real.rstrip(b"/")) + 1 :]) for point in inside)


def identify(path: bytes) -> Volume:
    """Tell which volume a folder lies on."""
    return Mounts().volume_of(path)


def _mount(line: bytes) -> Mount:
    """Read a line of proc_pid_mountinfo(5).

    The fourth field is the folder that is mounted, the fifth the mount point; after a lone dash follow type and source.
    """
    fields = line.split(b" ")
    dash = fields.index(b"-")
    source = os.fsdecode(_unescaped(fields[dash + 2]))
    return Mount(_unescaped(fields[4]), source, os.fsdecode(fields[dash + 1]), os.fsdecode(_unescaped(fields[3])))


def _volume(mount: Mount) -> Volume:
    remote = ":" in mount.source or mount.source.startswith("//") or mount.kind.startswith("fuse")
    name = "" if remote else _uuid(mount.source) or _name_here(mount.point)
    return Volume(mount.source, mount.kind, name, mount.root)


def _name_here(point: bytes) -> str:
    """Name a file system that has no name of its own, as long as the machine is not booted anew (statfs(2), f_fsid)."""
    try:
        return f"{_boot_id()}:{os.statvfs(point).f_fsid:x}"
    except OSError:
        return _boot_id()


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


def holds(
    folders: Sequence[dict[str, Any]], here: Callable[[bytes], bytes], root: bytes, listed_on: Volume, disk: Disk
) -> bool:
    """Tell whether the files of a part lie on this machine: the volume is the same, or a sample of them looks the same.

    Args:
        folders: the part's folders with their files, as `scan.parts` writes them.
        here: tells where a path of the catalogue lies on this machine.
        root: the folder that is scanned.
        listed_on: the volume that it was listed on.
        disk: looks at it; one that does not answer holds nothing.
    """
    try:
        return _holds(folders, here, root, listed_on, disk)
    except TimeoutError:
        return False


def _holds(
    folders: Sequence[dict[str, Any]], here: Callable[[bytes], bytes], root: bytes, listed_on: Volume, disk: Disk
) -> bool:
    if disk.call(identify, here(root)).same_as(listed_on):
        return True
    sample: list[tuple[bytes, list[int]]] = []
    for piece in folders:
        folder = paths.decode_base64(piece["path"])
        sample += [(join(folder, paths.decode_base64(name)), key) for name, key, *_ in piece["files"]]
        if len(sample) >= SAMPLE:
            break
    return disk.call(is_alike, [(here(path), key[0], key[1]) for path, key in sample[:SAMPLE]])


def is_alike(sample: Iterable[tuple[bytes, int, int]]) -> bool:
    """Tell whether enough files are as they are known: each a path on this machine, size, and mtime in nanoseconds."""
    found = [_is_as_known(path, size, mtime_ns) for path, size, mtime_ns in sample]
    return sum(found) >= LIKE_ENOUGH * len(found)


def _is_as_known(path: bytes, size: int, mtime_ns: int) -> bool:
    try:
        status = os.stat(path)  # noqa: PTH116 - a path of bytes
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (size, mtime_ns)
