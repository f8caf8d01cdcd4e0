"""What became of files, on its way from a scan to the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stoat_ferret.library.models import FileKey, KnownFile, KnownFolder, Outcome
from stoat_ferret.media.info import MediaInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What became of one file."""

    path: bytes
    key: FileKey
    outcome: Outcome
    known: KnownFile | None = None
    info: MediaInfo | None = None
    """Set where the file was examined and is a video."""
    fingerprint: str | None = None
    code: str | None = None
    reason: str | None = None
    remember: bool = True
    """False where nothing is to be stored besides the ledger's row: a failure that may pass, or is known already."""
    bytes_read: int = 0
    birth_ns: int | None = None
    origin: KnownFile | None = None
    """The entry that was elsewhere before, and goes with the file."""
    twin: KnownFile | None = None
    """Another entry whose file is this very one, by another name: a hard link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderClosing:
    """What is stored once every file of a folder has its outcome."""

    digest: bytes | None
    unchanged_count: int
    reject_count: int
    newly_counted: int
    """Unchanged files that have no row of their own in this job's ledger."""
    gone: tuple[KnownFile, ...] = ()
    ignored: Mapping[bytes, str] = field(default_factory=dict)
    """Why some of what is gone counts so though its file is there, by path: a rule leaves it out."""


@dataclass(slots=True, kw_only=True)
class FolderBatch:
    """Results in one folder, as far as they go."""

    path: bytes
    library_id: str
    known: KnownFolder | None
    files: list[FileResult] = field(default_factory=list)
    refreshed: list[tuple[KnownFile, FileKey]] = field(default_factory=list)
    """Unchanged files whose inode is another one, since their volume was mounted anew; with the present key."""
    closing: FolderClosing | None = None
