"""Libraries as the API shows them."""

from datetime import datetime
from typing import Annotated, Any

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern
from pydantic import BaseModel, ConfigDict, Field, field_validator

from stoat_ferret import paths
from stoat_ferret.api.schemas.texts import one_line
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.library.models import Library, LibraryState, Watching

Pattern = Annotated[str, Field(min_length=1, max_length=1000)]
SETTLE_HELP = "A file younger than so many seconds may still be being written; scans wait until it is older."
KEEP_HELP = "Entries that are missing for longer than so many days are forgotten by the daily maintenance; null: never."
WATCH_HELP = "Scan what changes in it by itself, soon after."
LINKS_HELP = "Take what symbolic links lead to, if it lies in the media roots, as if it lay there."
IGNORE_HELP = "Patterns in gitignore's syntax, relative to its folder, besides the default ones."


def checked_patterns(patterns: list[str]) -> list[str]:
    """Make sure that patterns can be used.

    Raises:
        ValueError: one is not a line of gitignore's syntax.
    """
    for pattern in patterns:
        one_line(pattern)
        try:
            GitIgnoreSpecPattern(pattern)
        except GitIgnorePatternError as error:
            msg = f"{pattern!r} is no pattern of gitignore's syntax."
            raise ValueError(msg) from error
    return patterns


class LastScan(BaseModel):
    """The last scan that was finished."""

    job_id: str
    finished_at: datetime | None


class LibraryResponse(BaseModel):
    """A folder that is kept catalogued."""

    id: str
    name: str = Field(examples=["Videos"])
    path: str = Field(examples=["/home/me/Videos"])
    path_bytes: str | None = Field(None, description="The exact path in base64, where it is not valid UTF-8.")
    state: LibraryState = Field(description="`offline` when its folder was not there at the last scan.")
    max_loss_fraction: float = Field(description="A scan that would lose a larger part stops and asks.")
    schedule: str | None = Field(
        description="When it is scanned by itself: a cron line in the server's local time. Null: never.",
        examples=["0 3 * * *"],
    )
    ignore: list[str] = Field(description=IGNORE_HELP, examples=[["proxies/", "*.tmp.mov"]])
    settle_seconds: float = Field(description=SETTLE_HELP)
    keep_missing_days: float | None = Field(description=KEEP_HELP)
    follow_symlinks: bool = Field(description=LINKS_HELP)
    watch: bool = Field(description=WATCH_HELP)
    watching: Watching | None = Field(
        description="How it is watched now: by `events`, or by `polling`, whole scans every so often. Null: not at all."
    )
    watching_reason: str | None = Field(description="Why not by events, in a sentence.")
    video_count: int = Field(description="All entries, missing ones included.")
    created_at: datetime
    last_scan: LastScan | None

    @classmethod
    def of(cls, library: Library) -> "LibraryResponse":
        """Show a library."""
        last = None
        if library.last_scan_job_id is not None:
            finished_at = from_microseconds_or_none(library.last_scan_at)
            last = LastScan(job_id=library.last_scan_job_id, finished_at=finished_at)
        return cls(
            id=library.id,
            name=library.name,
            path=paths.display(library.path_bytes),
            path_bytes=paths.exact_if_needed(library.path_bytes),
            state=library.state,
            max_loss_fraction=library.max_loss_fraction,
            schedule=library.schedule,
            ignore=list(library.ignore),
            settle_seconds=library.settle_seconds,
            keep_missing_days=library.keep_missing_days,
            follow_symlinks=library.follow_symlinks,
            watch=library.watch,
            watching=library.watching,
            watching_reason=library.watching_reason,
            video_count=library.video_count,
            created_at=from_microseconds(library.created_at),
            last_scan=last,
        )


class LibraryListResponse(BaseModel):
    """All libraries, by path."""

    libraries: list[LibraryResponse]


class LibraryPatch(BaseModel):
    """What a person may set of a library, as a merge patch (RFC 7396): what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"schedule": "0 3 * * *"}})

    name: str = Field("", min_length=1, max_length=200, description="What it is called.")
    max_loss_fraction: float = Field(
        0.0, ge=0, le=1, strict=True, description="A scan that would lose a larger part stops and asks."
    )
    schedule: str | None = Field(
        None,
        max_length=200,
        description="A cron line of five fields, in the server's local time; null ends the schedule.",
        examples=["0 3 * * *"],
    )

    ignore: list[Pattern] = Field([], max_length=500, description=IGNORE_HELP, examples=[["proxies/"]])
    settle_seconds: float = Field(0.0, ge=0, le=3600, description=SETTLE_HELP)
    keep_missing_days: float | None = Field(None, gt=0, le=36500, description=KEEP_HELP)
    watch: bool = Field(False, strict=True, description=WATCH_HELP)
    follow_symlinks: bool = Field(False, strict=True, description=LINKS_HELP)

    @field_validator("name")
    @classmethod
    def _storable(cls, value: str) -> str:
        if not one_line(value):
            msg = "A name is one line of text."
            raise ValueError(msg)
        return one_line(value)

    @field_validator("ignore")
    @classmethod
    def _usable(cls, value: list[str]) -> list[str]:
        return checked_patterns(value)

    def given(self) -> dict[str, Any]:
        """Give what was given, as the catalogue takes it."""
        found = self.model_dump(exclude_unset=True, include=set(LibraryPatch.model_fields))
        return found | ({"ignore": tuple(found["ignore"])} if "ignore" in found else {})


class LibraryCreate(LibraryPatch):
    """A folder to be kept catalogued, and what is set for it; the rest is as for a library that a scan makes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"path": "/home/me/Videos"}})

    path: str | None = Field(None, description="An absolute folder. This or `path_bytes` is required.")
    path_bytes: str | None = Field(None, description="The same in base64, for paths that are not valid UTF-8.")

    def folder(self) -> bytes:
        """Give the folder.

        Raises:
            InvalidPathError: none is given, or two, or it cannot be a path.
        """
        if (self.path is None) == (self.path_bytes is None):
            raise InvalidPathError("Give either path or path_bytes.")
        return paths.decode_base64(self.path_bytes or "") if self.path is None else paths.encoded(self.path)


class PurgeRequest(BaseModel):
    """What to forget."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"older_than_days": 30}})

    older_than_days: float = Field(0.0, ge=0, le=36500, description="Entries that are missing for longer.")
