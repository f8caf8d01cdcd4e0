"""Libraries as the API shows them."""

from datetime import datetime

from pydantic import BaseModel, Field

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.library.models import Library, LibraryState


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
            video_count=library.video_count,
            created_at=from_microseconds(library.created_at),
            last_scan=last,
        )


class LibraryListResponse(BaseModel):
    """All libraries, by path."""

    libraries: list[LibraryResponse]
