"""What is known of a media file once it has been examined: plain data, no behaviour, no PyAV."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PROBE_VERSION = 2
"""Raise it when the probe learns to say more, so that the next scan looks at every file again."""

StreamKind = Literal["video", "audio", "subtitle", "data", "attachment"]
Hdr = Literal["sdr", "hdr10", "hdr10_plus", "hlg", "dolby_vision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of a file. A field that does not apply, or is not known, is None."""

    index: int
    kind: StreamKind
    codec: str | None = None
    codec_tag: str | None = None
    profile: str | None = None
    language: str | None = None
    title: str | None = None
    disposition: tuple[str, ...] = ()
    start_time: float | None = None
    """Seconds."""
    duration: float | None = None
    """Seconds."""
    bit_rate: int | None = None
    """Bits per second."""
    width: int | None = None
    height: int | None = None
    sample_aspect_ratio: str | None = None
    """`"num:den"`; None where the file does not say."""
    pixel_format: str | None = None
    frame_rate: str | None = None
    """Average, exact, as `"30000/1001"`."""
    real_frame_rate: str | None = None
    """The lowest rate that can represent every timestamp (ffprobe's r_frame_rate), exact."""
    field_order: str | None = None
    color_range: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    color_space: str | None = None
    rotation: int | None = None
    """Degrees clockwise that a player turns the picture: 0, 90, 180 or 270."""
    attached_picture: bool = False
    sample_rate: int | None = None
    """Hertz."""
    channels: int | None = None
    channel_layout: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterInfo:
    """One chapter; times in seconds from the file's start."""

    index: int
    start: float
    end: float
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """A whole file. The picture and sound fields describe its first real picture stream and first audio stream."""

    container: str
    duration: float | None = None
    """Seconds."""
    start_time: float | None = None
    bit_rate: int | None = None
    """Bits per second."""
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    display_width: int | None = None
    """Width as shown: sample aspect ratio and rotation applied."""
    display_height: int | None = None
    video_codec: str | None = None
    video_profile: str | None = None
    pixel_format: str | None = None
    frame_rate: str | None = None
    frame_rate_float: float | None = None
    vfr: bool | None = None
    hdr: Hdr | None = None
    audio_codec: str | None = None
    audio_channels: int | None = None
    created_at_in_camera: str | None = None
    """RFC 3339, UTC, from the container's creation time."""
    streams: tuple[StreamInfo, ...] = field(default=())
    chapters: tuple[ChapterInfo, ...] = field(default=())
    tags: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON values; `from_json` reverses it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "MediaInfo":
        """Rebuild what `to_json` gave."""
        streams = tuple(StreamInfo(**{**s, "disposition": tuple(s["disposition"])}) for s in data["streams"])
        chapters = tuple(ChapterInfo(**c) for c in data["chapters"])
        return cls(**{**data, "streams": streams, "chapters": chapters})
