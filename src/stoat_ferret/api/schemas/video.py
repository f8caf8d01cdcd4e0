"""Videos as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stoat_ferret import paths
from stoat_ferret.api.schemas.texts import one_line
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.api.schemas.verify import ChecksumResponse
from stoat_ferret.library.fixity import Checksum
from stoat_ferret.library.history import Place
from stoat_ferret.library.models import Video, VideoDetail, VideoState
from stoat_ferret.media.info import StreamInfo

Label = Annotated[str, Field(min_length=1, max_length=200)]

COPIED = tuple(
    "id filename library_id size state duration container width height rotation display_width display_height "
    "video_codec video_profile pixel_format frame_rate frame_rate_float vfr bit_rate hdr audio_codec audio_channels "
    "content_id fingerprint probe_level notes rating".split()
)


class VideoResponse(BaseModel):
    """A video. Fields of the picture describe its first picture stream, those of the sound its first audio stream."""

    id: str = Field(examples=["01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3"])
    path: str = Field(examples=["/videos/Holidays/2024/beach.mp4"])
    path_bytes: str | None = Field(None, description="The exact path in base64, where it is not valid UTF-8.")
    filename: str = Field(examples=["beach.mp4"])
    library_id: str
    size: int = Field(description="Bytes.", examples=[15728640])
    modified_at: datetime = Field(description="The file's modification time.")
    added_at: datetime
    updated_at: datetime = Field(description="The last change of this entry.")
    state: VideoState
    missing_since: datetime | None
    title: str | None = Field(
        description="What a person calls it, else its title tag.", examples=["A day at the beach"]
    )
    notes: str | None
    rating: int | None = Field(description="0 to 5.")
    labels: list[str] = Field(examples=[["holidays", "to cut"]])
    duration: float | None = Field(description="Seconds.", examples=[12.48])
    container: str | None = Field(examples=["mov,mp4,m4a,3gp,3g2,mj2"])
    width: int | None = Field(description="Stored pixels.", examples=[1920])
    height: int | None = Field(examples=[1080])
    rotation: int | None = Field(description="Degrees clockwise that a player turns the picture.", examples=[90])
    display_width: int | None = Field(description="Pixels as shown: aspect ratio and rotation applied.")
    display_height: int | None
    video_codec: str | None = Field(examples=["h264"])
    video_profile: str | None = Field(examples=["High"])
    pixel_format: str | None = Field(examples=["yuv420p"])
    frame_rate: str | None = Field(description="Average, exact.", examples=["30000/1001"])
    frame_rate_float: float | None = Field(examples=[29.97002997002997])
    vfr: bool | None = Field(description="True where the frame rate varies.")
    bit_rate: int | None = Field(description="Bits per second, of the whole file.", examples=[8100000])
    hdr: Literal["sdr", "hdr10", "hdr10_plus", "hlg", "dolby_vision"] | None = Field(description="Null: not known.")
    audio_codec: str | None = Field(examples=["aac"])
    audio_channels: int | None = Field(examples=[2])
    created_at_in_camera: datetime | None
    content_id: str | None = Field(description="Null until the whole content has been hashed.")
    fingerprint: str | None = Field(
        description="xxh3-128 over the size and the first, middle and last 64 KiB, in hexadecimal."
    )
    probe_level: Literal["header", "full"]

    @classmethod
    def of(cls, video: Video) -> "VideoResponse":
        """Show a video."""
        return cls(**_fields(video))


class LocationResponse(BaseModel):
    """Where a video was filmed (WGS 84)."""

    latitude: float = Field(description="Degrees, north positive.", examples=[51.4779])
    longitude: float = Field(description="Degrees, east positive.", examples=[-0.0015])
    altitude: float | None = Field(None, description="Metres.")


class VideoDetailResponse(VideoResponse):
    """A video with everything that was found in its headers."""

    streams: list[dict[str, Any]] = Field(
        description="In the file's order, in ffprobe's words; a field that is not known is null. Each has: "
        + ", ".join(f"`{name}`" for name in StreamInfo.__dataclass_fields__)
        + "."
    )
    chapters: list[dict[str, Any]] = Field(description="With `start` and `end` in seconds.")
    camera_make: str | None = Field(examples=["Apple"])
    camera_model: str | None = Field(examples=["iPhone 14 Pro"])
    timecode: str | None = Field(
        description="Of the first picture; a `;` before the frames where numbers are dropped.", examples=["10:00:00:00"]
    )
    location: LocationResponse | None = Field(
        None, description="Where it was filmed. Null unless it is asked for with `include=location`."
    )
    tags: dict[str, str] = Field(examples=[{"title": "A day at the beach", "encoder": "Lavf62.12.102"}])
    probe_error: str | None = Field(description="Why the file could not be examined, when `state` is `broken`.")
    checksum: ChecksumResponse | None = Field(description="Of the whole content; null: not hashed yet.")
    places: list["FormerPlace"] = Field(description="Where it was before, the latest first.")

    @classmethod
    def of_detail(
        cls,
        detail: VideoDetail,
        places: Sequence[Place] = (),
        checksum: Checksum | None = None,
        *,
        with_location: bool = False,
    ) -> "VideoDetailResponse":
        """Show a video in full; where it was filmed only to those who ask."""
        origin = detail.origin
        shown = LocationResponse(**origin.location) if with_location and origin.location else None
        return cls(
            **_fields(detail.video),
            streams=detail.streams,
            chapters=detail.chapters,
            camera_make=origin.camera_make,
            camera_model=origin.camera_model,
            timecode=origin.timecode,
            location=shown,
            tags=detail.tags,
            probe_error=detail.video.probe_error,
            checksum=None if checksum is None else ChecksumResponse.of(checksum),
            places=[
                FormerPlace(
                    path=paths.display(place.path_bytes),
                    path_bytes=paths.exact_if_needed(place.path_bytes),
                    until=from_microseconds(place.until),
                )
                for place in places
            ],
        )


class FormerPlace(BaseModel):
    """Where a video was before."""

    path: str
    path_bytes: str | None = None
    until: datetime


class VideoPatch(BaseModel):
    """What a person may set of a video, as a merge patch (RFC 7396): what is left out stays, null takes it away."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"rating": 4, "labels": ["holidays"]}})

    title: str | None = Field(None, max_length=500, description="What it is called; null: as its title tag says.")
    notes: str | None = Field(None, max_length=20_000)
    rating: int | None = Field(None, ge=0, le=5, strict=True)
    labels: list[Label] | None = Field(None, max_length=100, description="All its labels; null or []: none.")

    @field_validator("title")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        return None if value is None else one_line(value) or None

    @field_validator("labels")
    @classmethod
    def _lines(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else sorted({one_line(label) for label in value} - {""})

    def given(self) -> dict[str, Any]:
        """Give what was given, by column."""
        found = self.model_dump(exclude_unset=True)
        if "title" in found:
            found["own_title"] = found.pop("title")
        if "labels" in found:
            found["labels"] = found["labels"] or []
        return found


class VideoListResponse(BaseModel):
    """Some videos in the order asked for."""

    videos: list[VideoResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the rest; null at the end.")
    total: int = Field(description="All matches, not only this page.")
    total_is_lower_bound: bool = Field(False, description="True where counting stopped at `total`.")


class VideoSearchResponse(VideoListResponse):
    """What a search found."""

    query: str


def _fields(video: Video) -> dict[str, Any]:
    return {name: getattr(video, name) for name in COPIED} | {
        "title": video.own_title or video.title,
        "labels": list(video.labels),
        "path": paths.display(video.path_bytes),
        "path_bytes": paths.exact_if_needed(video.path_bytes),
        "modified_at": from_microseconds(video.modified_at),
        "added_at": from_microseconds(video.added_at),
        "updated_at": from_microseconds(video.updated_at),
        "missing_since": from_microseconds_or_none(video.missing_since),
        "created_at_in_camera": from_microseconds_or_none(video.created_at_in_camera),
    }
