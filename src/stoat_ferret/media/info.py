"""What is known of a media file once it has been examined: plain data, no behaviour, no PyAV."""

from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal

PROBE_VERSION = 3
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
    level: int | None = None
    """As the codec counts its levels: 41 is H.264's 4.1, 153 is HEVC's 5.1."""
    language: str | None = None
    title: str | None = None
    disposition: tuple[str, ...] = ()
    start_time: float | None = None
    """Seconds."""
    duration: float | None = None
    """Seconds."""
    bit_rate: int | None = None
    """Bits per second."""
    frame_count: int | None = None
    """Pictures or packets, where the container says how many."""
    timecode: str | None = None
    """Of the first picture, as `hh:mm:ss:ff`; a `;` before the frames where numbers are dropped."""
    width: int | None = None
    height: int | None = None
    sample_aspect_ratio: str | None = None
    """`"num:den"`; None where the file does not say."""
    display_aspect_ratio: str | None = None
    """Of the whole picture, before it is turned; None where the file does not say."""
    pixel_format: str | None = None
    bit_depth: int | None = None
    """Bits of a colour that count."""
    chroma: str | None = None
    """How colour is sampled, such as `4:2:0`; `4:0:0` is grey. None for pictures that are not stored as Y'CbCr."""
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
    mastering_primaries: tuple[float, ...] | None = None
    """Of the display it was graded on (SMPTE ST 2086): x and y of red, green, blue and white, to four decimals."""
    mastering_min_luminance: float | None = None
    """cd/m²."""
    mastering_max_luminance: float | None = None
    max_content_light: int | None = None
    """MaxCLL, cd/m²: the brightest sample of all."""
    max_average_light: int | None = None
    """MaxFALL, cd/m²: the brightest picture's average."""
    hdr10_plus: bool | None = None
    """The first keyframe carries HDR10+ (SMPTE ST 2094-40); None where no frame was looked at."""
    dolby_vision_profile: int | None = None
    dolby_vision_level: int | None = None
    dolby_vision_compatibility: int | None = None
    """What a player without Dolby Vision takes it for: 1 is HDR10, 2 SDR, 4 HLG, 0 nothing; the 4 of "profile 8.4"."""
    stereo_3d: str | None = None
    """How the pictures for two eyes are packed, by FFmpeg's words: `side by side`, `top and bottom`, ..."""
    views: int | None = None
    """Pictures for different eyes that are coded as layers of one stream: 2 in MV-HEVC."""
    projection: str | None = None
    """Of a picture all around the viewer, by FFmpeg's words: `equirectangular`, `cubemap`, ..."""
    sample_rate: int | None = None
    """Hertz."""
    channels: int | None = None
    channel_layout: str | None = None
    bits_per_sample: int | None = None
    """Of sound that is stored without loss."""
    file_name: str | None = None
    """Of an attachment."""
    mime_type: str | None = None
    """Of an attachment."""
    tags: dict[str, str] = field(default_factory=dict)
    """All but language and title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterInfo:
    """One chapter; times in seconds from the file's start."""

    index: int
    start: float
    end: float
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where something was filmed: WGS 84, as phones write it by ISO 6709."""

    latitude: float
    """Degrees, north of the equator positive."""
    longitude: float
    """Degrees, east of Greenwich positive."""
    altitude: float | None = None
    """Metres."""


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
    """RFC 3339, UTC, as the camera says, else from the container's creation time."""
    camera_make: str | None = None
    camera_model: str | None = None
    timecode: str | None = None
    """Of the first picture."""
    location: Location | None = None
    """A private matter: it is kept out of `tags`, and shown to those who ask for it."""
    streams: tuple[StreamInfo, ...] = field(default=())
    chapters: tuple[ChapterInfo, ...] = field(default=())
    tags: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON values: what is known, and nothing of what is not."""
        parts = {name: [known(part) for part in getattr(self, name)] for name in ("streams", "chapters")}
        location = {} if self.location is None else {"location": known(self.location)}
        return known(self) | parts | location


Part = StreamInfo | ChapterInfo | MediaInfo | Location
_getters = {
    kind: (names := tuple(entry.name for entry in fields(kind)), attrgetter(*names))
    for kind in (StreamInfo, ChapterInfo, MediaInfo, Location)
}
"""All fields at once, which is quicker than one after the other."""


def known(part: Part) -> dict[str, Any]:
    """Give the fields that are known, by name. Most streams lack most of them, and a library has millions."""
    names, values = _getters[type(part)]
    return {name: value for name, value in zip(names, values(part), strict=True) if value is not None}


def whole(kind: type[Part], stored: dict[str, Any]) -> dict[str, Any]:
    """Give every field of what `known` gave, now or before there were as many."""
    return _unknown(kind) | stored


def _unknown(kind: type[Part]) -> dict[str, Any]:
    """Give each field that may lack as it is then: null, an empty list or an empty object."""
    return {
        entry.name: entry.default_factory() if entry.default_factory is not MISSING else _plain(entry.default)
        for entry in fields(kind)
        if not (entry.default is MISSING and entry.default_factory is MISSING)
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
