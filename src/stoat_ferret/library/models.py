"""What the catalogue holds, as plain data. Times are microseconds since 1970 UTC unless a name says otherwise."""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Literal

VideoState = Literal["available", "missing", "broken"]
LibraryState = Literal["online", "offline"]
Watching = Literal["events", "polling"]


QUARANTINED = ("PROBE_CRASHED", "PROBE_TIMEOUT")
"""Codes of files that ended the process which examined them, twice."""


class Outcome(StrEnum):
    """What a scan did about one file."""

    NEW = "new"
    UPDATED = "updated"
    MOVED = "moved"
    RESTORED = "restored"
    UNCHANGED = "unchanged"
    MISSING = "missing"
    SKIPPED = "skipped"
    FAILED = "failed"


class Unset(Enum):
    """Stands for what was not given, where None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET

_HALF = 1 << 63


def _signed(number: int) -> int:
    return number - 2 * _HALF if number >= _HALF else number


@dataclass(frozen=True, slots=True)
class FileKey:
    """What tells, without opening it, whether a file is still the one that was examined."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, *, size: int, mtime_ns: int, inode: int, device: int) -> "FileKey":
        """Give what the file system says, fitted into the signed 64 bits that databases have for a number.

        Some network file systems use all 64 bits of an inode number, and a time may lie beyond the year 2262.
        """
        return cls(size, max(-_HALF, min(mtime_ns, _HALF - 1)), _signed(inode), _signed(device))

    def columns(self) -> dict[str, int]:
        """Give it as columns of a row; `asdict` takes ten times as long, and a scan asks for every file."""
        return {"size": self.size, "mtime_ns": self.mtime_ns, "inode": self.inode, "device": self.device}

    def same_content(self, other: "FileKey") -> bool:
        """True where size and time are the same, whatever the inode: it is another one after some remounts."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)

    def same_file(self, other: "FileKey") -> bool:
        """True where nothing suggests a change. The device number is left out: it changes with every remount."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A folder that is kept catalogued, with everything below it that no inner library owns."""

    id: str
    name: str
    path_bytes: bytes
    state: LibraryState
    max_loss_fraction: float
    video_count: int
    """All entries, missing ones included."""
    created_at: int
    last_scan_job_id: str | None = None
    last_scan_at: int | None = None
    lost_from: int | None = None
    """Of how many videos too many were gone at once, as long as no scan has settled that."""
    schedule: str | None = None
    """When it is scanned by itself, as a line of cron; None: never."""
    ignore: tuple[str, ...] = ()
    """Patterns in gitignore's syntax, relative to its folder, besides the defaults."""
    follow_symlinks: bool = False
    watch: bool = False
    """Whether changes in it are to be noticed by themselves."""
    watching: Watching | None = None
    """How they are noticed now; None: not at all."""
    watching_reason: str | None = None
    """Why not by events, in a sentence."""
    settle_seconds: float = 5.0
    """A file younger than this is taken for one that may still be being written."""
    keep_missing_days: float | None = None
    """Entries missing for longer are forgotten; None: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One file of the catalogue. Units and meanings of the media facts are those of `media.info.MediaInfo`."""

    id: str
    library_id: str
    path_bytes: bytes
    filename: str
    size: int
    modified_at: int
    added_at: int
    updated_at: int
    state: VideoState
    missing_since: int | None
    title: str | None
    duration: float | None
    container: str | None
    width: int | None
    height: int | None
    rotation: int | None
    display_width: int | None
    display_height: int | None
    video_codec: str | None
    video_profile: str | None
    pixel_format: str | None
    frame_rate: str | None
    frame_rate_float: float | None
    vfr: bool | None
    bit_rate: int | None
    hdr: str | None
    audio_codec: str | None
    audio_channels: int | None
    created_at_in_camera: int | None
    fingerprint: str | None
    content_id: str | None
    probe_level: str
    probe_error: str | None
    own_title: str | None = None
    """What a person calls it."""
    notes: str | None = None
    rating: int | None = None
    """0 to 5."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """With what and where a video was filmed; None for what is not known."""

    camera_make: str | None = None
    camera_model: str | None = None
    timecode: str | None = None
    """Of the first picture, as `hh:mm:ss:ff`."""
    location: dict[str, float] | None = None
    """As `media.info.Location`: a private matter, to be shown to nobody who did not ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDetail:
    """A video with all that was found in its headers."""

    video: Video
    streams: list[dict[str, Any]]
    chapters: list[dict[str, Any]]
    tags: dict[str, str]
    """None of them tells where it was filmed."""
    origin: Origin


@dataclass(frozen=True, slots=True)
class Page:
    """Some videos in the order asked for."""

    videos: tuple[Video, ...]
    next_cursor: str | None
    """None at the end."""
    total: int
    """All matches, or a bound that was reached while counting them."""
    total_is_lower_bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """What the catalogue knows of one path: a video, or a file that was examined and is none."""

    path: bytes
    key: FileKey
    video_pk: int | None = None
    video_id: str | None = None
    state: VideoState | None = None
    birth_ns: int | None = None
    """When the file was made, in nanoseconds since 1970 UTC; None where the file system does not say."""
    outdated: bool = False
    """It was last examined by a probe that said less than the present one does."""
    reject_outcome: Outcome | None = None
    """Set where the file, as it is, was found not to be a usable video: failed or skipped."""
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFolder:
    """What the catalogue knows of one folder."""

    pk: int
    path: bytes
    digest: bytes | None
    unchanged_count: int
    reject_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the change feed."""

    seq: int
    kind: str
    video_id: str
    path_bytes: bytes
    state: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """What a job did to one path; for unchanged files one row a folder, with their count."""

    path_bytes: bytes
    outcome: Outcome
    at: int
    count: int = 1
    code: str | None = None
    reason: str | None = None
    video_id: str | None = None
    from_path_bytes: bytes | None = None
    """Where a file that was moved was before."""
