"""The table of colours says what the arithmetic says."""

import math
from array import array

import av
import pytest

from stoat_ferret.media.colours import standard
from stoat_ferret.media.tone import CODES, Transfer, to_standard

SIZE = (64, 36)


def frame_of(planes: list[list[int]]) -> av.VideoFrame:
    """Give a frame of these samples of green, blue and red."""
    frame = av.VideoFrame(*SIZE, "gbrp10le")
    for plane, samples in zip(frame.planes, planes, strict=True):
        data, length = array("H", samples).tobytes(), 2 * SIZE[0]
        rows = (data[start : start + length] for start in range(0, len(data), length))
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
    return frame


def samples_of(frame: av.VideoFrame) -> list[list[int]]:
    """Give the samples of red, green and blue of a packed frame with 16 bits each, as 8-bit ones."""
    [plane] = frame.planes
    data, length = bytes(plane), 2 * 3 * frame.width
    rows = (data[start : start + length] for start in range(0, len(data), plane.line_size))
    values = memoryview(b"".join(rows)).cast("H").tolist()
    return [[round(value / 257) for value in values[place::3]] for place in range(3)]


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_colours_are_those_of_the_arithmetic(transfer: Transfer) -> None:
    """All of them mixed with each other, within 45 dB; and each picture has its own, one after another."""
    count = SIZE[0] * SIZE[1]
    for turn in range(3):
        red = [place * (CODES - 1) // (count - 1) for place in range(count)]
        green = [code // 2 + 100 * turn for code in red]
        blue = [(CODES - 1) - code for code in red]
        found = samples_of(standard(frame_of([green, blue, red]), transfer))
        exact = to_standard(red, green, blue, transfer)
        pairs = [pair for one, other in zip(found, exact, strict=True) for pair in zip(one, other, strict=True)]
        error = sum((one - other) ** 2 for one, other in pairs) / len(pairs)
        assert 10 * math.log10(255**2 / error) > 45
