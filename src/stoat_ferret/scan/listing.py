"""What a folder holds, as far as a scan is concerned: a complete listing, or a problem; never half."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, overload

from stoat_ferret.library.models import FileKey, KnownFolder
from stoat_ferret.statx import States

if TYPE_CHECKING:
    from stoat_ferret.scan.rules import Rules

LARGEST_TIME = (1 << 63) - 1
_NOT_SENT = "of these files nothing was sent but how many there are; have the folder listed again"

FileRow = tuple[bytes, int, int, int, int]
"""Name, size, mtime in nanoseconds since 1970 UTC, inode and device; the last three as the system gives them."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file with a video's ending; of a symbolic link that is followed, what it leads to."""

    name: bytes
    key: FileKey


@dataclass(frozen=True, slots=True)
class Oddity:
    """An entry with a video's ending that is never opened."""

    name: bytes
    code: str
    reason: str
    unproven: bool = False
    """True where what is known of it stays as it is."""


class Files(Sequence[FileEntry]):
    """The files of one folder, sorted by name; packed, since there may be a million, and most never change.

    Each is taken out only when it is asked for. `state` has to be hashed to tell whether any changed.
    """

    __slots__ = ("_devices", "_inodes", "_names", "_sizes", "_times")

    def __init__(self, rows: Iterable[FileRow] = ()) -> None:
        """Pack rows."""
        columns = list(zip(*sorted(rows), strict=True)) or [(), (), (), (), ()]
        names, sizes, times, inodes, devices = columns
        self._names = b"/".join(names)  # which no name holds
        self._sizes = array("Q", sizes)
        try:
            self._times = array("q", times)
        except OverflowError:  # beyond the year 2262
            self._times = array("q", [max(-LARGEST_TIME - 1, min(time, LARGEST_TIME)) for time in times])
        self._inodes = array("Q", inodes)
        self._devices = array("Q", devices)

    @classmethod
    def packed(cls, names: bytes, states: States) -> "Files":
        """Take what is packed already: names, sorted and with a slash between each two, and the states of the files."""
        files = cls()
        files._names = names
        files._sizes, files._times = states.sizes, states.times
        files._inodes, files._devices = states.inodes, states.devices
        return files

    @classmethod
    def of(cls, entries: Iterable[FileEntry]) -> "Files":
        """Pack entries."""
        return cls(
            (
                entry.name,
                entry.key.size,
                entry.key.mtime_ns,
                entry.key.inode % (1 << 64),
                entry.key.device % (1 << 64),
            )
            for entry in entries
        )

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[FileEntry]:
        for name, size, time, inode, device in self.rows():
            yield FileEntry(name, FileKey.of(size=size, mtime_ns=time, inode=inode, device=device))

    def rows(self) -> Iterator[FileRow]:
        """Give them as they were packed."""
        names = self._names.split(b"/") if self._names else []
        return zip(names, self._sizes, self._times, self._inodes, self._devices, strict=True)

    @overload
    def __getitem__(self, index: int) -> FileEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[FileEntry]: ...
    def __getitem__(self, index: int | slice) -> FileEntry | list[FileEntry]:
        return list(self)[index]

    @property
    def state(self) -> tuple[bytes, ...]:
        """Bytes that are equal exactly where names, sizes, times and inodes are; devices change with every remount."""
        return (self._names, self._sizes.tobytes(), self._times.tobytes(), self._inodes.tobytes())

    @property
    def newest_ns(self) -> int | None:
        """The latest mtime, in nanoseconds since 1970 UTC; None where there is no file."""
        return max(self._times, default=None)


class SameFiles(Files):
    """Files that are as the catalogue has them by their folder's digest: how many, and nothing of each."""

    __slots__ = ("_count", "_newest_ns")

    def __init__(self, count: int, newest_ns: int | None) -> None:
        super().__init__()
        self._count = count
        self._newest_ns = newest_ns

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Iterator[FileRow]:
        """Fail, rather than say that there is none.

        Raises:
            LookupError: always.
        """
        raise LookupError(_NOT_SENT)

    @property
    def state(self) -> tuple[bytes, ...]:
        """Fail likewise."""
        raise LookupError(_NOT_SENT)

    @property
    def newest_ns(self) -> int | None:
        """The latest mtime, in nanoseconds since 1970 UTC; None where there is no file."""
        return self._newest_ns


@dataclass(frozen=True, slots=True)
class FolderListing:
    """All that lies directly in a folder and concerns a scan, sorted by name."""

    path: bytes
    files: Files = field(default_factory=Files)
    folders: tuple[bytes, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    rules: "Rules | None" = None
    """Those in force in it; None where nobody is to ask."""
    ignored: bool = False
    """True where a rule that a person made leaves out something in it that might be, or hold, a video."""
    linked: bool = False
    """True where the folder is a symbolic link to one."""
    digest: bytes | None = None
    """Where it was reckoned already."""
    recalled: KnownFolder | None = None
    """What the catalogue has of the folder, where its files are the same by the digest, and are not told."""
    outside: "Rules | None" = None
    """Those of the folder that it lies in, likewise."""

    @property
    def empty(self) -> bool:
        """True where nothing here could be, or hold, a video."""
        return not (self.files or self.folders or self.oddities or self.ignored)

    def without_files(self, digest: bytes) -> "FolderListing":
        """Give the same without its files, which are known by this digest."""
        return replace(self, files=SameFiles(len(self.files), self.files.newest_ns), digest=digest)


@dataclass(frozen=True, slots=True)
class FolderProblem:
    """A folder that could not be listed as a whole; it proves nothing about what is in it."""

    path: bytes
    code: str
    reason: str


def join(folder: bytes, name: bytes) -> bytes:
    """Give the path of an entry; `os.path.join` would take a name with a leading slash for a new root."""
    return (folder if folder.endswith(b"/") else folder + b"/") + name
