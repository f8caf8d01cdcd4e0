"""Verifications, as the API takes and shows them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from stoat_ferret import paths
from stoat_ferret.api.schemas.places import place_given
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.library.fixity import Checksum, Damaged
from stoat_ferret.scan.verify import VerifyOptions

DAY_SECONDS = 86_400


class VerifyRequest(BaseModel):
    """What to read as a whole: a folder or file, one video, or, without either, everything."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"path": "/videos", "mode": "check"}})

    path: str | None = Field(None, description="An absolute folder or file of a library.")
    path_bytes: str | None = Field(None, description="The same in base64, for paths that are not valid UTF-8.")
    video_id: str | None = None
    mode: Literal["new", "check"] = Field(
        "new", description="`new`: only what has no checksum yet; `check`: also whether the others still hold."
    )
    older_than_days: float = Field(0.0, ge=0, le=36500, description="Check only what was checked longer ago.")
    bytes_per_second: int = Field(0, ge=0, description="Read no faster; 0: as fast as it goes.")
    max_bytes: int | None = Field(None, gt=0, description="Stop after so many bytes; what is left is said.")

    def options(self) -> VerifyOptions:
        """Give what is asked for.

        Raises:
            InvalidPathError: more than one place is given, or it cannot be a path.
        """
        given = [name for name in ("path", "path_bytes", "video_id") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InvalidPathError(f"Give only one of {' and '.join(given)}.")
        return VerifyOptions(
            place=place_given(self.path, self.path_bytes),
            video_id=self.video_id,
            mode=self.mode,
            older_than_seconds=self.older_than_days * DAY_SECONDS,
            bytes_per_second=float(self.bytes_per_second),
            max_bytes=self.max_bytes,
        )


class ChecksumResponse(BaseModel):
    """What a file's whole content is known to be."""

    algorithm: Literal["blake3"] = "blake3"
    digest: str = Field(description="256 bits in hexadecimal.")
    hashed_at: datetime = Field(description="When the content was first found so.")
    checked_at: datetime = Field(description="When it was read last.")
    damaged_at: datetime | None = Field(description="Since when it is another, though size and time are the same.")
    found: str | None = Field(description="What it is instead.")

    @classmethod
    def of(cls, checksum: Checksum) -> "ChecksumResponse":
        """Show a checksum."""
        return cls(
            digest=checksum.digest,
            hashed_at=from_microseconds(checksum.hashed_at),
            checked_at=from_microseconds(checksum.checked_at),
            damaged_at=from_microseconds_or_none(checksum.damaged_at),
            found=checksum.found,
        )


class DamagedResponse(BaseModel):
    """A video whose content is not what it was."""

    video_id: str
    path: str
    path_bytes: str | None = None
    checksum: ChecksumResponse

    @classmethod
    def of(cls, found: Damaged) -> "DamagedResponse":
        """Show it."""
        return cls(
            video_id=found.video_id,
            path=paths.display(found.path_bytes),
            path_bytes=paths.exact_if_needed(found.path_bytes),
            checksum=ChecksumResponse.of(found.checksum),
        )


class DamagedListResponse(BaseModel):
    """Videos that are damaged, by path."""

    videos: list[DamagedResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the rest; null at the end.")
