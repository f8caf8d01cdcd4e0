"""How ffprobe's JSON is read: what it says of a file or a stream, in the form in which we store the same.

What it does not say, or says it does not know, is None.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from stoat_ferret.media import picture, timing
from stoat_ferret.media.origin import origin, without_location
from stoat_ferret.media.streams import own_tags

Json = dict[str, Any]
LONGEST_TAG = 64 * 1024
"""Characters; longer ones are not stored."""
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


def moving_picture(document: Json) -> Json | None:
    """Give ffprobe's first picture stream that is not cover art."""
    for stream in document.get("streams", []):
        if stream.get("codec_type") == "video" and not stream.get("disposition", {}).get("attached_pic"):
            found: Json = stream
            return found
    return None


def text(key: str) -> Callable[[Json], object]:
    return lambda part: None if part.get(key) in UNSAID else part.get(key)


def number(part: Json, key: str) -> float | int | None:
    """Read a number, which ffprobe may have written as text; None for none, and for what is none."""
    value = part.get(key)
    if isinstance(value, int | float):
        return value
    try:
        return int(value or "") if re.fullmatch(r"[+-]?\d+", value or "") else float(value or "")
    except ValueError:
        return None


def whole(key: str) -> Callable[[Json], object]:
    return lambda part: number(part, key) or None


def seconds(key: str, *, positive: bool = False) -> Callable[[Json], object]:
    def read(part: Json) -> float | None:
        found = number(part, key)
        value = None if found is None else float(found)
        return timing.positive(value) if positive else value

    return read


def ratio(key: str) -> Callable[[Json], object]:
    """Read a rate or a shape as it is written, `30000/1001` or `16:15`; a zero in either place says nothing."""
    return lambda part: part.get(key) if fraction(part.get(key)) else None


def fraction(written: str | None) -> Fraction | None:
    try:
        return Fraction((written or "").replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None


def tag(key: str) -> Callable[[Json], object]:
    return lambda part: part.get("tags", {}).get(key)


def of_format(read: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda document: read(document["format"])


def seconds_unless_data(key: str, *, positive: bool = False) -> Callable[[Json], object]:
    """FFmpeg's releases do not agree on when data begins and ends; of data neither is stored."""
    read = seconds(key, positive=positive)
    return lambda stream: read(stream) if kind(stream) != "data" else None


def kind(stream: Json) -> str:
    kind = str(stream.get("codec_type", "data"))  # ffprobe gives none to a stream it cannot name
    return "data" if kind == "unknown" else kind


def profile(stream: Json) -> str | None:
    """A number is a profile without a name."""
    named = stream.get("profile")
    return None if named in UNSAID or named is None or re.fullmatch(r"-?\d+", named) else str(named)


def codec_tag(stream: Json) -> str | None:
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


def rotation(stream: Json) -> int | None:
    if kind(stream) != "video":
        return None
    turns = [data["rotation"] for data in stream.get("side_data_list", []) if "rotation" in data]
    return picture.clockwise(float(turns[0]), display_matrix=True) if turns else 0


def disposition(stream: Json) -> tuple[str, ...]:
    return tuple(name for name, value in stream.get("disposition", {}).items() if value)


def tags(part: Json) -> dict[str, str]:
    """Where it was filmed is kept apart."""
    return without_location(short_tags(part))


def short_tags(part: Json) -> dict[str, str]:
    return {key: value for key, value in part.get("tags", {}).items() if len(value) <= LONGEST_TAG}


def stream_tags(stream: Json) -> dict[str, str]:
    return own_tags(tags(stream))


def of_origin(name: str) -> Callable[[Json], object]:
    return lambda part: origin(short_tags(part))[name]


def timecode(document: Json) -> object:
    """Of the file, else of its picture, else of the first stream that has one."""
    parts = [document["format"], moving_picture(document) or {}, *document.get("streams", [])]
    codes = [stream_timecode(part) for part in parts]
    nothing = CANNOT_TELL if document.get(RECORDED_ONLY) else None  # streams' tags are not recorded
    return next((code for code in codes if code), nothing)


def stream_timecode(part: Json) -> object:
    return timing.timecode(part.get("tags", {}).get("timecode"))


def of_picture(read: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda stream: read(stream) if kind(stream) == "video" else None


def level(stream: Json) -> int | None:
    """What is below zero is no level, zero is none in most codecs."""
    found = number(stream, "level")
    return picture.level(int(found)) if found is not None else None


def bit_depth(stream: Json) -> object:
    """ffprobe says it of some codecs only; of the others it is in the name of the pixel format."""
    if "pix_fmt" not in stream or kind(stream) != "video":
        return None
    told = number(stream, "bits_per_raw_sample") or None
    return told or sampling(stream["pix_fmt"])[0]


def chroma(stream: Json) -> object:
    return sampling(stream["pix_fmt"])[1] if "pix_fmt" in stream and kind(stream) == "video" else None


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


def sample_bits(stream: Json) -> object:
    """Of PCM ffprobe says `bits_per_sample`, of other sound that loses nothing `bits_per_raw_sample`."""
    if kind(stream) != "audio":
        return None
    if str(stream.get("codec_name")).startswith("pcm_"):
        return number(stream, "bits_per_sample") or None
    return (number(stream, "bits_per_raw_sample") or None) if stream.get("codec_name") in LOSSLESS else None


def of_light(kind: str, *keys: str, digits: int = 6) -> Callable[[Json], object]:
    """Read what the container says of a display or of light, else what comes with a first frame that was asked for."""

    def read(stream: Json) -> object:
        frame = stream.get(FRAME_SIDE_DATA)
        found = side_data(stream, kind) or side_data({"side_data_list": frame or []}, kind)
        if found is None:
            return CANNOT_TELL if frame is None and stream.get("color_transfer") == picture.PQ else None
        numbers = [quotient(found.get(key), digits) for key in keys]
        if None in numbers:
            return None
        return tuple(numbers) if len(numbers) > 1 else numbers[0]

    return read


def whole_light(key: str) -> Callable[[Json], object]:
    """Zero means that nobody measured."""
    read = of_light("Content light level metadata", key)
    return lambda stream: int(value) if isinstance(value := read(stream), float) and value else unless_zero(value)


def unless_zero(value: object) -> object:
    return None if value == 0 else value


def hdr10_plus(stream: Json) -> object:
    frame = stream.get(FRAME_SIDE_DATA)
    return CANNOT_TELL if frame is None else any("2094-40" in str(data.get("side_data_type")) for data in frame)


def of_side_data(kind: str, key: str) -> Callable[[Json], object]:
    def read(stream: Json) -> object:
        value = (side_data(stream, kind) or {}).get(key)
        return None if value in UNSAID else value

    return read


def quotient(written: object, digits: int) -> float | None:
    """Round as FFmpeg does where it writes decimals: what we read of the container it has rounded so."""
    exact = fraction(str(written))
    return None if exact is None else float(f"{float(exact):.{digits}f}")


def shown(side: int) -> Callable[[Json], object]:
    def read(stream: Json) -> int | None:
        shape = fraction(stream.get("sample_aspect_ratio")) or None
        size = picture.display_size(stream.get("width"), stream.get("height"), shape, rotation(stream))
        return size[side]

    return read


def rate(stream: Json) -> float | None:
    rate = fraction(stream.get("avg_frame_rate"))
    return round(float(rate), 3) if rate else None


def hdr(document: Json) -> object:
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
