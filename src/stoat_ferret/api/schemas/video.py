"""Videos as the API shows them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.library.models import Video, VideoDetail, VideoState

COPIED = tuple(
    "id filename library_id size state title duration container width height rotation display_width display_height "
    "video_codec video_profile pixel_format frame_rate frame_rate_float vfr bit_rate hdr audio_codec audio_channels "
    "content_id fingerprint probe_level".split()
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
    title: str | None = Field(description="The title tag.", examples=["A day at the beach"])
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


class VideoDetailResponse(VideoResponse):
    """A video with everything that was found in its headers."""

    streams: list[dict[str, Any]] = Field(description="In the file's order; a field that is not known is null.")
    chapters: list[dict[str, Any]] = Field(description="With `start` and `end` in seconds.")
    tags: dict[str, str] = Field(examples=[{"title": "A day at the beach", "encoder": "Lavf62.12.102"}])
    probe_error: str | None = Field(description="Why the file could not be examined, when `state` is `broken`.")

    @classmethod
    def of_detail(cls, detail: VideoDetail) -> "VideoDetailResponse":
        """Show a video in full."""
        return cls(
            **_fields(detail.video),
            streams=detail.streams,
            chapters=detail.chapters,
            tags=detail.tags,
            probe_error=detail.video.probe_error,
        )


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
        "path": paths.display(video.path_bytes),
        "path_bytes": paths.exact_if_needed(video.path_bytes),
        "modified_at": from_microseconds(video.modified_at),
        "added_at": from_microseconds(video.added_at),
        "updated_at": from_microseconds(video.updated_at),
        "missing_since": from_microseconds_or_none(video.missing_since),
        "created_at_in_camera": from_microseconds_or_none(video.created_at_in_camera),
    }
