"""Reads FFmpeg's own summary of an opened file (`av_dump_format`).

PyAV shows neither the codec of a stream it cannot decode nor a stream's side data (rotation, Dolby Vision) unless a
frame is decoded; the summary has both, at 0.1 ms and without running any decoder.
"""

import re
from dataclasses import dataclass, field
from typing import Any

_STREAM = re.compile(
    r"^  +Stream #\d+:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)]*\))?: "
    r"(?P<kind>Video|Audio|Subtitle|Data|Attachment|Unknown): (?P<codec>[a-z0-9_]+)"
)
_SIDE_DATA = "    Side data:"
_INSIDE = "      "
_ROTATION = re.compile(r"Display Matrix: rotation of (?P<degrees>-?\d+(?:\.\d+)?) degrees")
_RAW_BITS = re.compile(r", \w+ ?\((?P<bits>\d+) (?:bit|bpc)[,)]")
"""How many bits of a sample or colour count, told where they are fewer than its format has."""
_SIZE = re.compile(r", (?P<width>[1-9]\d*)x(?P<height>[1-9]\d*)")
"""Of pictures with text in them, of which PyAV does not tell the size."""
_DOLBY_VISION = re.compile(
    r"DOVI configuration record: version: \d+\.\d+, profile: (?P<profile>\d+), level: (?P<level>\d+)"
    r"(?:.*, compatibility id: (?P<compatibility>\d+))?"
)
_NUMBER = r"(\d+\.\d+)"
_MASTERING = "Mastering display metadata:"
_PRIMARIES = re.compile(
    rf"has_primaries:1 .*\br\({_NUMBER},{_NUMBER}\) g\({_NUMBER},{_NUMBER}\) b\({_NUMBER},? {_NUMBER}\) "
    rf"wp\({_NUMBER}, {_NUMBER}\)"
)
_LUMINANCE = re.compile(rf"has_luminance:1 .*\bmin_luminance={_NUMBER}, max_luminance={_NUMBER}")
_LIGHT = re.compile(r"Content light level metadata: MaxCLL=(?P<most>\d+), MaxFALL=(?P<average>\d+)")
_STEREO = re.compile(r"Stereo 3D: (?P<packing>[^,]+)(?P<both>, view: packed)?")
_UNSPECIFIED = "unspecified"
_SPHERICAL = re.compile(r"Spherical Mapping: (?P<projection>[a-z ]+?) *(?:[(\[].*)?$", re.IGNORECASE)
_UNNAMED = {"none", "unknown_codec"}


@dataclass(slots=True)
class StreamSummary:
    """What the summary says of one stream."""

    kind: str
    """`video`, `audio`, `subtitle`, `data`, `attachment` or `unknown`."""
    codec: str | None
    rotation: float | None = None
    """Degrees anticlockwise, as FFmpeg gives it; None without a display matrix or where the matrix is no rotation."""
    display_matrix: bool = False
    both_eyes: bool = False
    """The stream is said to hold the pictures for both eyes."""
    raw_bits: int | None = None
    """Of a sample or colour, where fewer count than its format has."""
    side_data: dict[str, Any] = field(default_factory=dict)
    """What else its side data says, and the size of subtitles that are pictures: fields of `StreamInfo`."""


def parse_summary(text: str) -> dict[int, StreamSummary]:
    """Give the streams of a summary by index; a line that is not understood is passed over.

    What is said of a stream's side data counts only where FFmpeg says it: tags, whose keys anybody may have written,
    stand in the same text. A key with a line break in it could still forge all of that; do not ask then.
    """
    streams: dict[int, StreamSummary] = {}
    current: StreamSummary | None = None
    side_data = False
    for line in text.split("\n"):
        if found := _STREAM.match(line):
            codec = found["codec"]
            current = StreamSummary(found["kind"].lower(), None if codec in _UNNAMED else codec)
            if raw := _RAW_BITS.search(line, found.end()):
                current.raw_bits = int(raw["bits"])
            if current.kind == "subtitle" and (size := _SIZE.search(line, found.end())):
                current.side_data = {"width": int(size["width"]), "height": int(size["height"])}
            streams.setdefault(int(found["index"]), current)
            side_data = False
        elif line == _SIDE_DATA:
            side_data = True
        elif not line.startswith(_INSIDE):
            side_data = False
        elif current is not None and side_data:
            _take_side_data(current, line)
    return streams


def _take_side_data(stream: StreamSummary, line: str) -> None:
    said = line.removeprefix(_INSIDE)
    if said.startswith("Display Matrix:"):
        stream.display_matrix = True
        if matrix := _ROTATION.match(said):
            stream.rotation = float(matrix["degrees"])
    elif found := _DOLBY_VISION.match(said):
        stream.side_data |= {f"dolby_vision_{name}": int(value) for name, value in found.groupdict().items() if value}
    elif said.startswith(_MASTERING):
        stream.side_data |= _mastering(said)
    elif found := _LIGHT.match(said):
        stream.side_data |= light_levels(int(found["most"]), int(found["average"]))
    elif found := _STEREO.match(said):
        stream.both_eyes = found["both"] is not None
        if found["packing"] != _UNSPECIFIED:
            stream.side_data["stereo_3d"] = found["packing"]
    elif found := _SPHERICAL.match(said):
        stream.side_data["projection"] = found["projection"]


def _mastering(said: str) -> dict[str, Any]:
    """Read SMPTE ST 2086; FFmpeg writes primaries with four decimals, luminances with six."""
    found: dict[str, Any] = {}
    if primaries := _PRIMARIES.search(said):
        found["mastering_primaries"] = tuple(float(number) for number in primaries.groups())
    if luminance := _LUMINANCE.search(said):
        low, high = (float(number) for number in luminance.groups())
        found |= {"mastering_min_luminance": low, "mastering_max_luminance": high}
    return found


def light_levels(most: int, average: int) -> dict[str, Any]:
    """Give MaxCLL and MaxFALL, of which zero means that nobody measured (CTA-861.3, annex P)."""
    return {"max_content_light": most or None, "max_average_light": average or None}
