"""Changes of the catalogue as the API shows them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds
from stoat_ferret.library.models import Change, VideoState


class ChangeResponse(BaseModel):
    """One change of one video."""

    seq: int = Field(description="Its number: numbers follow the order of changes, without a gap.", examples=[4711])
    kind: Literal["added", "updated", "moved", "missing", "restored", "removed"]
    video_id: str
    path: str = Field(description="Where it is now; of a removed one, where it was.")
    path_bytes: str | None = Field(None, description="The exact path in base64, where it is not valid UTF-8.")
    state: VideoState = Field(description="As it is after the change.")
    at: datetime

    @classmethod
    def of(cls, change: Change) -> "ChangeResponse":
        """Show a change."""
        return cls.model_validate(
            {
                "seq": change.seq,
                "kind": change.kind,
                "video_id": change.video_id,
                "path": paths.display(change.path_bytes),
                "path_bytes": paths.exact_if_needed(change.path_bytes),
                "state": change.state,
                "at": from_microseconds(change.at),
            }
        )


class ChangeListResponse(BaseModel):
    """Some changes in their order."""

    changes: list[ChangeResponse]
    next_after: int = Field(description="Give it as `after` for what follows, now or later.")
