"""Reads FFmpeg's own summary of an opened file (`av_dump_format`).

PyAV shows neither the codec of a stream it cannot decode nor a stream's side data (rotation, Dolby Vision) unless a
frame is decoded; the summary has both, at 0.1 ms and without running any decoder.
"""

import re
from dataclasses import dataclass

_STREAM = re.compile(
    r"^  +Stream #\d+:(?P<index>\d+)(?:\[0x[0-9a-f]+\])?(?:\([^)]*\))?: "
    r"(?P<kind>Video|Audio|Subtitle|Data|Attachment|Unknown): (?P<codec>[a-z0-9_]+)"
)
_SIDE_DATA = "    Side data:"
_INSIDE = "      "
_ROTATION = re.compile(r"Display Matrix: rotation of (?P<degrees>-?\d+(?:\.\d+)?) degrees")
_DOLBY_VISION = "DOVI configuration record:"
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
    dolby_vision: bool = False


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
    elif said.startswith(_DOLBY_VISION):
        stream.dolby_vision = True
