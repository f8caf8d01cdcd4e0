"""What a scan is asked for by."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stoat_ferret import paths
from stoat_ferret.scan.scope import ScanOptions

Recursive = Annotated[bool, Field(description="False: only the files directly in the folder.", strict=True)]
Force = Annotated[bool, Field(description="Examine again what is unchanged.", strict=True)]
AcceptLoss = Annotated[
    bool, Field(description="Mark files missing even where so many are gone that a scan stops and asks.", strict=True)
]
DryRun = Annotated[bool, Field(description="Report what would change, and change nothing.", strict=True)]


class ScanRequest(BaseModel):
    """What to scan."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"path": "/home/me/Videos"}})

    path: str | None = Field(None, description="An absolute folder. This or `path_bytes` is required.")
    path_bytes: str | None = Field(None, description="The same in base64, for paths that are not valid UTF-8.")
    recursive: Recursive = True
    force: Force = False
    accept_loss: AcceptLoss = False
    dry_run: DryRun = False

    @model_validator(mode="after")
    def _one_path(self) -> "ScanRequest":
        if (self.path is None) == (self.path_bytes is None):
            msg = "Give either path or path_bytes."
            raise ValueError(msg)
        return self

    def options(self) -> ScanOptions:
        """Give what is asked for.

        Raises:
            InvalidPathError: the path is not text that can be a path, or not base64.
        """
        path = paths.decode_base64(self.path_bytes or "") if self.path is None else paths.encoded(self.path)
        return ScanOptions(
            path=path,
            recursive=self.recursive,
            force=self.force,
            accept_loss=self.accept_loss,
            dry_run=self.dry_run,
        )


class LibraryScanRequest(BaseModel):
    """How to scan a library; without a body, as usual."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"force": False}})

    recursive: Recursive = True
    force: Force = False
    accept_loss: AcceptLoss = False
    dry_run: DryRun = False

    def options(self, path: bytes) -> ScanOptions:
        """Give what is asked for."""
        return ScanOptions(path=path, **self.model_dump())


class FileScanRequest(BaseModel):
    """How to scan one file; without a body, as usual."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"force": True}})

    force: Force = False
    dry_run: DryRun = False
