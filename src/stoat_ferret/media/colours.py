"""Frames of high dynamic range to standard, by a table of colours that FFmpeg's filter `haldclut` looks up.

To work out each sample of a picture in Python took 40 ms; the table is worked out once a process.
"""

from array import array
from fractions import Fraction
from functools import cache

import av
import av.filter

from stoat_ferret.media.tone import CODES, Transfer, to_standard

LEVEL = 7
"""Of the table: 49 steps along each axis, between which colours are interpolated. Pictures are within 54 dB of what the
exact arithmetic gives. Eight gains little, and takes three times as long to fill."""
_STEPS = LEVEL**2
_FORMAT = "rgb48le"  # of the planar formats FFmpeg 8.1 takes the planes in another order
_TIME_BASE = Fraction(1, 25)


def standard(frame: av.VideoFrame, transfer: Transfer) -> av.VideoFrame:
    """Compress the dynamic range of a full-range RGB frame in BT.2020, of any depth; gives 16-bit RGB.

    Raises:
        av.FFmpegError: the picture cannot be filtered.
    """
    return _looked_up(frame.reformat(format=_FORMAT, threads=1), _table(transfer))


def _looked_up(frame: av.VideoFrame, table: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    graph.threads = 1
    lookup, end = graph.add("haldclut", "clut=first"), graph.add("buffersink")
    inputs = []
    for place, each in enumerate((frame, table)):
        each.pts, each.time_base = 0, _TIME_BASE
        source = graph.add_buffer(width=each.width, height=each.height, format=each.format, time_base=_TIME_BASE)
        source.link_to(lookup, 0, place)
        inputs.append((source, each))
    lookup.link_to(end)
    graph.configure()
    for source, each in reversed(inputs):
        source.push(each)
        source.push(None)
    return graph.vpull()


@cache
def _table(transfer: Transfer) -> av.VideoFrame:
    """Give the standard colour of each of so many colours, red changing fastest, as a square picture."""
    axis = [round(step * (CODES - 1) / (_STEPS - 1)) for step in range(_STEPS)]
    red = axis * _STEPS**2
    green = [code for code in axis for _ in axis] * _STEPS
    blue = [code for code in axis for _ in range(_STEPS**2)]
    samples = array("H", bytes(2 * 3 * _STEPS**3))
    for place, codes in enumerate(to_standard(red, green, blue, transfer)):
        samples[place::3] = array("H", [257 * code for code in codes])
    side = LEVEL**3
    table = av.VideoFrame(side, side, _FORMAT)
    data, length = samples.tobytes(), 2 * 3 * side
    [plane] = table.planes
    plane.update(
        b"".join(data[start : start + length].ljust(plane.line_size, b"\0") for start in range(0, len(data), length))
    )
    return table
