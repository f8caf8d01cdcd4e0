"""Libraries as the API shows them."""

import unicodedata
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.library.models import Library, LibraryState

UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of what is no part of a line: controls, halves of surrogate pairs, separators of lines."""


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

    @field_validator("name")
    @classmethod
    def _storable(cls, value: str) -> str:
        if not value.strip() or any(unicodedata.category(character) in UNSHOWN for character in value):
            msg = "A name is one line of text."
            raise ValueError(msg)
        return value.strip()
