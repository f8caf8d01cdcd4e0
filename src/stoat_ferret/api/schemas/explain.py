"""Explanations and what is set aside, as the API shows them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.api.services.explain import Decision, Explanation
from stoat_ferret.library.history import Event, SetAside


class RuleResponse(BaseModel):
    """The line that leaves a name out."""

    source: str = Field(description="`default`, `library`, or the path of a `.stoatignore`.")
    line: int = Field(description="Counted from 1.")
    pattern: str


class EventResponse(BaseModel):
    """One thing that happened."""

    at: datetime
    what: str = Field(
        description="What a scan did about it, what a verification found, or the kind of change.", examples=["moved"]
    )
    path: str
    job_id: str | None
    video_id: str | None
    code: str | None
    reason: str | None

    @classmethod
    def of(cls, event: Event) -> "EventResponse":
        """Show it."""
        return cls(
            at=from_microseconds(event.at),
            what=event.what,
            path=paths.display(event.path_bytes),
            job_id=event.job_id,
            video_id=event.video_id,
            code=event.code,
            reason=event.reason,
        )


class ExplainResponse(BaseModel):
    """What decided about a path."""

    path: str
    path_bytes: str | None = Field(None, description="The exact path in base64, where it is not valid UTF-8.")
    known: bool = Field(description="True where the catalogue has a video at this path that is not missing.")
    decision: Decision = Field(description="What decided, as a word for programs.")
    reason: str = Field(description="The same as a sentence.")
    code: str | None = Field(description="Of the failure, where there was one.")
    rule: RuleResponse | None = Field(description="The rule that leaves it out, where one does.")
    library_id: str | None
    video_id: str | None = Field(description="The video that is there, was there last, or has moved from there.")
    video_path: str | None = Field(description="Where that video is now.")
    since: datetime | None
    events: list[EventResponse] = Field(description="What happened to it, the latest first.")

    @classmethod
    def of(cls, found: Explanation) -> "ExplainResponse":
        """Show an explanation."""
        rule, video = found.rule, found.video
        return cls(
            path=paths.display(found.path),
            path_bytes=paths.exact_if_needed(found.path),
            known=video is not None and video.state != "missing" and video.path_bytes == found.path,
            decision=found.decision,
            reason=found.reason,
            code=found.code,
            rule=None if rule is None else RuleResponse(source=rule.source, line=rule.line, pattern=rule.pattern),
            library_id=None if found.library is None else found.library.id,
            video_id=None if video is None else video.id,
            video_path=None if video is None else paths.display(video.path_bytes),
            since=from_microseconds_or_none(found.since),
            events=[EventResponse.of(event) for event in found.events],
        )


class SetAsideResponse(BaseModel):
    """A file that ended the process which examined it, twice."""

    path: str
    path_bytes: str | None = None
    code: str = Field(examples=["PROBE_TIMEOUT"])
    reason: str
    since: datetime | None
    video_id: str | None = Field(description="The video that it was before.")

    @classmethod
    def of(cls, found: SetAside) -> "SetAsideResponse":
        """Show it."""
        return cls(
            path=paths.display(found.path_bytes),
            path_bytes=paths.exact_if_needed(found.path_bytes),
            code=found.code,
            reason=found.reason,
            since=from_microseconds_or_none(found.since),
            video_id=found.video_id,
        )


class QuarantineResponse(BaseModel):
    """Files that are not examined again until they change or somebody asks, by path."""

    files: list[SetAsideResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the rest; null at the end.")


class QuarantineRetryRequest(BaseModel):
    """Which files to examine again: some, or all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"paths": ["/videos/odd.mp4"]}})

    paths: list[str] = Field([], max_length=1000, description="Paths of files that are set aside.")
    all: bool = Field(False, strict=True, description="All of them.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "QuarantineRetryRequest":
        if bool(self.paths) == self.all:
            msg = "Give either paths or all."
            raise ValueError(msg)
        return self


class QuarantineRetryResponse(BaseModel):
    """The scans that were put on the queue, one a file."""

    job_ids: list[str]
