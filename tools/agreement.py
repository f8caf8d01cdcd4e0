"""What we say of a media file, held field by field against what ffprobe says of it.

One table, `FIELDS`, names every field that is stored and where ffprobe's JSON has the same; whoever stores another one
adds a line to it, or to `NOT_COMPARED` with the reason (a test insists). `tools.oracle` holds a whole folder against a
running ffprobe with it, the tests hold the samples against what ffprobe was once seen to say.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from stoat_ferret.media import picture, timing
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.origin import location, origin, without_location
from stoat_ferret.media.streams import own_tags

Json = dict[str, Any]
Verdict = Literal["equal", "ours null", "wrong", "theirs absent"]
Scope = Literal["file", "picture", "sound", "stream", "chapter"]
"""What a field is said of: `picture` and `sound` are the file's own fields that its first such stream decides."""

LONGEST_TAG = 64 * 1024
"""Characters; longer ones are not stored."""
ROUNDING_SECONDS = 1.5e-6
"""Times are written with six decimals, and halves are not rounded alike everywhere."""
UNSAID = {"unknown", "unspecified", "reserved", "N/A", ""}
"""How ffprobe writes that it does not know."""
CANNOT_TELL = object()
"""What ffprobe's side of a field is where the answer is not in what was asked; such a case is passed over."""
FRAME_SIDE_DATA = "frame_side_data_list"
"""Where a stream's document has what comes with its first frame; lacking where none was asked for, or came."""
LOSSLESS = {"flac", "alac", "wavpack", "tta", "truehd", "mlp", "ape", "als", "tak", "shorten", "wmalossless"}
"""Of these codecs it is stored how many bits a sample has."""
MASTERING = "Mastering display metadata"
PRIMARIES = ("red_x", "red_y", "green_x", "green_y", "blue_x", "blue_y", "white_point_x", "white_point_y")
RECORDED_ONLY = "recorded_only"
"""Marks a document that holds only what EXPECTED.jsonl records."""
CRITICAL = ("hdr", "rotation")
"""Of these not one may be wrong: a picture that lies on its side, or that is shown grey, is seen at once."""


@dataclass(frozen=True, slots=True)
class Field:
    """A stored field, and how to read the same out of ffprobe's JSON."""

    scope: Scope
    ours: str
    """The attribute of MediaInfo, StreamInfo or ChapterInfo."""
    theirs: Callable[[Json], object]
    """From ffprobe's whole document (scope `file`), its stream or its chapter to our form; None for not said."""
    word: str | None = None
    """What `differs` in the samples' EXPECTED.jsonl calls it; None where that file does not record it."""

    @property
    def name(self) -> str:
        return f"{self.scope}.{self.ours}" if self.scope in ("stream", "chapter") else self.ours


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field of one file."""

    field: Field
    index: int | None
    """Of the stream or chapter; None for what the whole file decides."""
    verdict: Verdict
    ours: object
    theirs: object

    @property
    def word(self) -> str:
        """As `differs` in EXPECTED.jsonl has it."""
        by_stream = self.field.scope in ("stream", "picture", "sound")
        return f"{self.index}.{self.field.word}" if by_stream else str(self.field.word)


def compare(info: MediaInfo, document: Json) -> Iterator[Comparison]:
    """Hold everything stored of a file against ffprobe's document; what neither side says is passed over.

    Streams and chapters are paired by their place; that there are as many on both sides is a comparison of its own.
    What EXPECTED.jsonl does not record is left out for a document that was made of one of its rows.
    """
    recorded_only = bool(document.get(RECORDED_ONLY))
    parts: dict[Scope, tuple[Any, Any]] = {
        "file": ([info], [document]),
        "picture": ([info], [stream for stream in [moving_picture(document)] if stream is not None]),
        "sound": ([info], [stream for stream in document.get("streams", []) if _kind(stream) == "audio"]),
        "stream": (info.streams, document.get("streams", [])),
        "chapter": (info.chapters, document.get("chapters", [])),
    }
    for field in FIELDS:
        if recorded_only and field.scope == "stream" and field.word is None:
            continue
        for index, (ours, theirs) in enumerate(zip(*parts[field.scope], strict=False)):
            said = field.ours_of(ours) if isinstance(field, Count) else getattr(ours, field.ours)
            told = field.theirs(theirs)
            if (verdict := _verdict(said, told)) is not None:
                place = None if field.scope == "file" else theirs.get("index", index)
                yield Comparison(field, place, verdict, said, told)


@dataclass(frozen=True, slots=True)
class Count(Field):
    """How many streams or chapters there are."""

    def ours_of(self, info: MediaInfo) -> int:
        return len(getattr(info, self.ours))


def _verdict(ours: object, theirs: object) -> Verdict | None:
    if theirs is CANNOT_TELL:
        return None
    if ours is None:
        return None if theirs is None else "ours null"
    if theirs is None:
        return "theirs absent"
    if isinstance(ours, float) and isinstance(theirs, int | float):
        return "equal" if math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=ROUNDING_SECONDS) else "wrong"
    return "equal" if _repaired(ours) == _repaired(theirs) else "wrong"


def _repaired(value: object) -> object:
    """Leave one U+FFFD of several: how many replace a broken sequence of bytes is a matter of taste."""
    if isinstance(value, str):
        return re.sub("\ufffd+", "\ufffd", value)
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value


def document_of_row(row: Json) -> Json:
    """Turn a row of EXPECTED.jsonl into what ffprobe printed, as far as the row records it."""
    streams = [
        {
            **stream,
            "tags": {"language": stream["language"]} if stream.get("language") else {},
            "disposition": dict.fromkeys(stream["disposition"], 1),
            "side_data_list": [
                *({"side_data_type": kind} for kind in stream.get("side_data", [])),
                *([{"rotation": stream["rotation"]}] if "rotation" in stream else []),
            ],
        }
        for stream in row["streams"]
    ]
    chapters = [
        {"start_time": chapter["start"], "end_time": chapter["end"], "tags": _titled(chapter.get("title"))}
        for chapter in row["chapters"]
    ]
    return {"format": row, "streams": streams, "chapters": chapters, RECORDED_ONLY: True}


def _titled(title: str | None) -> dict[str, str]:
    return {} if title is None else {"title": title}


def moving_picture(document: Json) -> Json | None:
    """Give ffprobe's first picture stream that is not cover art."""
    for stream in document.get("streams", []):
        if stream.get("codec_type") == "video" and not stream.get("disposition", {}).get("attached_pic"):
            found: Json = stream
            return found
    return None


def _text(key: str) -> Callable[[Json], object]:
    return lambda part: None if part.get(key) in UNSAID else part.get(key)


def _number(part: Json, key: str) -> float | int | None:
    """Read a number, which ffprobe may have written as text; None for none, and for what is none."""
    value = part.get(key)
    if isinstance(value, int | float):
        return value
    try:
        return int(value or "") if re.fullmatch(r"[+-]?\d+", value or "") else float(value or "")
    except ValueError:
        return None


def _whole(key: str) -> Callable[[Json], object]:
    return lambda part: _number(part, key) or None


def _seconds(key: str, *, positive: bool = False) -> Callable[[Json], object]:
    def read(part: Json) -> float | None:
        number = _number(part, key)
        seconds = None if number is None else float(number)
        return timing.positive(seconds) if positive else seconds

    return read


def _ratio(key: str) -> Callable[[Json], object]:
    """Read a rate or a shape as it is written, `30000/1001` or `16:15`; a zero in either place says nothing."""
    return lambda part: part.get(key) if _fraction(part.get(key)) else None


def _fraction(written: str | None) -> Fraction | None:
    try:
        return Fraction((written or "").replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None


def _tag(key: str) -> Callable[[Json], object]:
    return lambda part: part.get("tags", {}).get(key)


def _of_format(read: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda document: read(document["format"])


def _seconds_unless_data(key: str, *, positive: bool = False) -> Callable[[Json], object]:
    """FFmpeg's releases do not agree on when data begins and ends; of data neither is stored."""
    read = _seconds(key, positive=positive)
    return lambda stream: read(stream) if _kind(stream) != "data" else None


def _kind(stream: Json) -> str:
    kind = str(stream.get("codec_type", "data"))  # ffprobe gives none to a stream it cannot name
    return "data" if kind == "unknown" else kind


def _profile(stream: Json) -> str | None:
    """A number is a profile without a name."""
    profile = stream.get("profile")
    return None if profile in UNSAID or profile is None or re.fullmatch(r"-?\d+", profile) else str(profile)


def _codec_tag(stream: Json) -> str | None:
    """ffprobe writes what is no letter, digit or one of `. -_` as its number: `[27][0][0][0]`."""
    written = str(stream.get("codec_tag_string", ""))
    tag = re.sub(r"\[(\d+)\]", lambda match: chr(int(match[1])), written).strip("\0 ")
    return tag if tag and tag.isascii() and tag.isprintable() else None


def side_data(stream: Json, kind: str) -> Json | None:
    """Give a stream's side data of a kind, such as `Mastering display metadata`."""
    for data in stream.get("side_data_list", []):
        if data.get("side_data_type") == kind:
            found: Json = data
            return found
    return None


def _rotation(stream: Json) -> int | None:
    if _kind(stream) != "video":
        return None
    turns = [data["rotation"] for data in stream.get("side_data_list", []) if "rotation" in data]
    return picture.clockwise(float(turns[0]), display_matrix=True) if turns else 0


def _disposition(stream: Json) -> tuple[str, ...]:
    return tuple(name for name, value in stream.get("disposition", {}).items() if value)


def _tags(part: Json) -> dict[str, str]:
    """Where it was filmed is kept apart."""
    return without_location(_short_tags(part))


def _short_tags(part: Json) -> dict[str, str]:
    return {key: value for key, value in part.get("tags", {}).items() if len(value) <= LONGEST_TAG}


def _stream_tags(stream: Json) -> dict[str, str]:
    return own_tags(_tags(stream))


def _origin(name: str) -> Callable[[Json], object]:
    return lambda part: origin(_short_tags(part))[name]


def _timecode(document: Json) -> object:
    """Of the file, else of its picture, else of the first stream that has one."""
    parts = [document["format"], moving_picture(document) or {}, *document.get("streams", [])]
    codes = [_stream_timecode(part) for part in parts]
    nothing = CANNOT_TELL if document.get(RECORDED_ONLY) else None  # streams' tags are not recorded
    return next((code for code in codes if code), nothing)


def _stream_timecode(part: Json) -> object:
    return timing.timecode(part.get("tags", {}).get("timecode"))


def _of_picture(read: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda stream: read(stream) if _kind(stream) == "video" else None


def _level(stream: Json) -> int | None:
    """What is below zero is no level, zero is none in most codecs."""
    level = _number(stream, "level")
    return picture.level(int(level)) if level is not None else None


def _bit_depth(stream: Json) -> object:
    """ffprobe says it of some codecs only; of the others it is in the name of the pixel format."""
    if "pix_fmt" not in stream or _kind(stream) != "video":
        return None
    told = _number(stream, "bits_per_raw_sample") or None
    return told or sampling(stream["pix_fmt"])[0]


def _chroma(stream: Json) -> object:
    return sampling(stream["pix_fmt"])[1] if "pix_fmt" in stream and _kind(stream) == "video" else None


def sampling(pixel_format: str) -> tuple[int | None, str | None]:
    """Read bits and chroma out of a format's name, as `yuv422p10le` has them; this is not how the probe does it."""
    name = re.sub(r"(le|be)$", "", pixel_format)
    if planar := re.fullmatch(r"yuv[aj]?(4\d\d)p(\d*)", name):
        return int(planar[2] or 8), ":".join(planar[1])
    if grey := re.fullmatch(r"(?:gray|ya)(\d*)", name):
        return int(grey[1] or 8), picture.GREY
    if half := re.fullmatch(r"(nv12|nv21|p01\d|nv16|uyvy422|yuyv422)", name):
        return int(half[1][2:]) if half[1].startswith("p01") else 8, "4:2:0" if half[1][2] in "12" else "4:2:2"
    if planes := re.fullmatch(r"gbra?p(\d*)", name):
        return int(planes[1] or 8), None
    return {"pal8": 8, "rgb24": 8, "bgr24": 8, "rgba": 8, "bgra": 8, "argb": 8, "abgr": 8, "0rgb": 8, "bgr0": 8}.get(
        name, {"rgb48": 16, "rgba64": 16, "bgr48": 16, "monob": 1, "monow": 1}.get(name)
    ), None


def _sample_bits(stream: Json) -> object:
    """Of PCM ffprobe says `bits_per_sample`, of other sound that loses nothing `bits_per_raw_sample`."""
    if _kind(stream) != "audio":
        return None
    if str(stream.get("codec_name")).startswith("pcm_"):
        return _number(stream, "bits_per_sample") or None
    return (_number(stream, "bits_per_raw_sample") or None) if stream.get("codec_name") in LOSSLESS else None


def _of_light(kind: str, *keys: str, digits: int = 6) -> Callable[[Json], object]:
    """Read what the container says of a display or of light, else what comes with a first frame that was asked for."""

    def read(stream: Json) -> object:
        frame = stream.get(FRAME_SIDE_DATA)
        found = side_data(stream, kind) or side_data({"side_data_list": frame or []}, kind)
        if found is None:
            return CANNOT_TELL if frame is None and stream.get("color_transfer") == picture.PQ else None
        numbers = [_quotient(found.get(key), digits) for key in keys]
        if None in numbers:
            return None
        return tuple(numbers) if len(numbers) > 1 else numbers[0]

    return read


def _whole_light(key: str) -> Callable[[Json], object]:
    """Zero means that nobody measured."""
    read = _of_light("Content light level metadata", key)
    return lambda stream: int(value) if isinstance(value := read(stream), float) and value else _unless_zero(value)


def _unless_zero(value: object) -> object:
    return None if value == 0 else value


def _hdr10_plus(stream: Json) -> object:
    frame = stream.get(FRAME_SIDE_DATA)
    return CANNOT_TELL if frame is None else any("2094-40" in str(data.get("side_data_type")) for data in frame)


def _of_side_data(kind: str, key: str) -> Callable[[Json], object]:
    def read(stream: Json) -> object:
        value = (side_data(stream, kind) or {}).get(key)
        return None if value in UNSAID else value

    return read


def _quotient(written: object, digits: int) -> float | None:
    """Round as FFmpeg does where it writes decimals: what we read of the container it has rounded so."""
    fraction = _fraction(str(written))
    return None if fraction is None else float(f"{float(fraction):.{digits}f}")


def _shown(side: int) -> Callable[[Json], object]:
    def read(stream: Json) -> int | None:
        shape = _fraction(stream.get("sample_aspect_ratio")) or None
        size = picture.display_size(stream.get("width"), stream.get("height"), shape, _rotation(stream))
        return size[side]

    return read


def _rate(stream: Json) -> float | None:
    rate = _fraction(stream.get("avg_frame_rate"))
    return round(float(rate), 3) if rate else None


def _hdr(document: Json) -> object:
    """Name the dynamic range as a person would read it out of ffprobe's lines.

    What only a frame tells (`frame_side_data`, names, put there by who asked for a frame) parts HDR10+ from HDR10, and
    a bare Dolby Vision stream from both; without a frame a PQ picture may be any of the three.
    """
    stream = moving_picture(document)
    if stream is None:
        return None
    frame = document.get("frame_side_data")
    seen = " ".join(frame or [])
    if side_data(stream, "DOVI configuration record") or "Dolby Vision" in seen:
        return "dolby_vision"
    transfer = stream.get("color_transfer")
    if transfer == picture.HLG:
        return "hlg"
    if transfer == picture.PQ:
        return CANNOT_TELL if frame is None else "hdr10_plus" if "2094-40" in seen else "hdr10"
    return "sdr"


FIELDS: tuple[Field, ...] = (
    Field("file", "container", _of_format(_text("format_name")), "container"),
    Field("file", "duration", _of_format(_seconds("duration", positive=True)), "duration"),
    Field("file", "start_time", _of_format(_seconds("start_time")), "start"),
    Field("file", "bit_rate", _of_format(_whole("bit_rate")), "bit_rate"),
    Field("file", "tags", _of_format(_tags), "tags"),
    Field("file", "created_at_in_camera", _of_format(_origin("created_at_in_camera")), "tags"),
    Field("file", "camera_make", _of_format(_origin("camera_make")), "tags"),
    Field("file", "camera_model", _of_format(_origin("camera_model")), "tags"),
    Field("file", "location", _of_format(lambda part: location(_short_tags(part))), "tags"),
    Field("file", "timecode", _timecode),
    Field("file", "hdr", _hdr),
    Field("picture", "width", _whole("width"), "width"),
    Field("picture", "height", _whole("height"), "height"),
    Field("picture", "rotation", _rotation, "rotation"),
    Field("picture", "display_width", _shown(0), "width"),
    Field("picture", "display_height", _shown(1), "height"),
    Field("picture", "video_codec", _text("codec_name"), "codec"),
    Field("picture", "video_profile", _profile, "profile"),
    Field("picture", "pixel_format", _text("pix_fmt"), "pix_fmt"),
    Field("picture", "frame_rate", _ratio("avg_frame_rate"), "avg"),
    Field("picture", "frame_rate_float", _rate, "avg"),
    Field("sound", "audio_codec", _text("codec_name"), "codec"),
    Field("sound", "audio_channels", _whole("channels"), "channels"),
    Count("file", "streams", lambda document: len(document.get("streams", [])), "nstreams"),
    Count("file", "chapters", lambda document: len(document.get("chapters", [])), "chapters"),
    Field("stream", "index", lambda stream: stream["index"], "index"),
    Field("stream", "kind", _kind, "type"),
    Field("stream", "codec", _text("codec_name"), "codec"),
    Field("stream", "codec_tag", _codec_tag),
    Field("stream", "profile", _profile, "profile"),
    Field("stream", "level", _of_picture(_level)),
    Field("stream", "language", _tag("language"), "language"),
    Field("stream", "title", _tag("title")),
    Field("stream", "disposition", _disposition, "disp"),
    Field("stream", "start_time", _seconds_unless_data("start_time"), "start"),
    Field("stream", "duration", _seconds_unless_data("duration", positive=True), "sduration"),
    Field("stream", "bit_rate", _whole("bit_rate")),
    Field("stream", "frame_count", _whole("nb_frames")),
    Field("stream", "timecode", _stream_timecode),
    Field("stream", "width", _whole("width"), "width"),
    Field("stream", "height", _whole("height"), "height"),
    Field("stream", "sample_aspect_ratio", _ratio("sample_aspect_ratio"), "sar"),
    Field("stream", "display_aspect_ratio", _ratio("display_aspect_ratio")),
    Field("stream", "pixel_format", _text("pix_fmt"), "pix_fmt"),
    Field("stream", "bit_depth", _bit_depth),
    Field("stream", "chroma", _chroma),
    Field("stream", "frame_rate", _ratio("avg_frame_rate"), "avg"),
    Field("stream", "real_frame_rate", _ratio("r_frame_rate"), "r"),
    Field("stream", "field_order", _text("field_order"), "field_order"),
    Field("stream", "color_range", _text("color_range"), "color_range"),
    Field("stream", "color_primaries", _text("color_primaries"), "primaries"),
    Field("stream", "color_transfer", _text("color_transfer"), "transfer"),
    Field("stream", "color_space", _text("color_space"), "space"),
    Field("stream", "rotation", _rotation, "rotation"),
    Field("stream", "attached_picture", lambda stream: "attached_pic" in _disposition(stream), "disp"),
    Field("stream", "mastering_primaries", _of_light(MASTERING, *PRIMARIES, digits=4)),
    Field("stream", "mastering_min_luminance", _of_light(MASTERING, "min_luminance")),
    Field("stream", "mastering_max_luminance", _of_light(MASTERING, "max_luminance")),
    Field("stream", "max_content_light", _whole_light("max_content")),
    Field("stream", "max_average_light", _whole_light("max_average")),
    Field("stream", "hdr10_plus", _hdr10_plus),
    Field("stream", "dolby_vision_profile", _of_side_data("DOVI configuration record", "dv_profile")),
    Field("stream", "dolby_vision_level", _of_side_data("DOVI configuration record", "dv_level")),
    Field(
        "stream",
        "dolby_vision_compatibility",
        _of_side_data("DOVI configuration record", "dv_bl_signal_compatibility_id"),
    ),
    Field("stream", "stereo_3d", _of_side_data("Stereo 3D", "type")),
    Field("stream", "projection", _of_side_data("Spherical Mapping", "projection")),
    Field("stream", "sample_rate", _whole("sample_rate"), "sample_rate"),
    Field("stream", "channels", _whole("channels"), "channels"),
    Field("stream", "channel_layout", _text("channel_layout"), "layout"),
    Field("stream", "bits_per_sample", _sample_bits),
    Field("stream", "file_name", _tag("filename")),
    Field("stream", "mime_type", _tag("mimetype")),
    Field("stream", "tags", _stream_tags),
    Field("chapter", "start", _seconds("start_time"), "chapters"),
    Field("chapter", "end", _seconds("end_time"), "chapters"),
    Field("chapter", "title", _tag("title"), "chapters"),
)

NOT_COMPARED = {
    "vfr": "ffprobe does not say it; that r_frame_rate and avg_frame_rate differ proves nothing",
    "stream.views": "ffprobe before 7.1 does not say it, and later ones only where its decoder is told to",
    "chapter.index": "ours is the place in the list, ffprobe's the number that the file gives",
}
"""Stored fields that ffprobe has nothing to hold against, and why, by `Field.name`."""
