"""What pictures are asked for ahead."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stoat_ferret.api.schemas.places import place_given
from stoat_ferret.scan.thumbnails import ThumbnailOptions


class ThumbnailsRequest(BaseModel):
    """Of what to make pictures: of a folder or file, or, without, of everything."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"path": "/videos"}})

    path: str | None = Field(None, description="An absolute folder or file of a library.")
    path_bytes: str | None = Field(None, description="The same in base64, for paths that are not valid UTF-8.")
    retry: Annotated[bool, Field(strict=True, description="Try again what was found to have no picture.")] = False

    def options(self) -> ThumbnailOptions:
        """Give what is asked for.

        Raises:
            InvalidPathError: more than one place is given, or it cannot be a path.
        """
        return ThumbnailOptions(place=place_given(self.path, self.path_bytes), retry=self.retry)
