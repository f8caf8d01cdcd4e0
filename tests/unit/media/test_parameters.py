"""What codecs' own headers say, bit by bit."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.codecs.parameters import H264, Aac, Colours, aac, h264


class Writer:
    """Writes bits, the highest first."""

    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, count: int) -> "Writer":
        self.bits += f"{value:0{count}b}"
        return self

    def golomb(self, *values: int) -> "Writer":
        for value in values:
            code = f"{value + 1:b}"
            self.bits += "0" * (len(code) - 1) + code
        return self

    def bytes(self) -> bytes:
        padded = self.bits + "1"
        padded += "0" * (-len(padded) % 8)
        return int(padded, 2).to_bytes(len(padded) // 8, "big")


def put_usability(
    unit: Writer, ratio: tuple[int, int] | int | None, full_range: bool | None, colours: tuple[int, int, int] | None
) -> None:
    said = full_range is not None or colours is not None
    unit.put(int(said or ratio is not None), 1)
    if not said and ratio is None:
        return
    unit.put(int(ratio is not None), 1)
    if isinstance(ratio, int):
        unit.put(ratio, 8)
    elif ratio is not None:
        unit.put(255, 8).put(ratio[0], 16).put(ratio[1], 16)
    unit.put(0, 1).put(int(said), 1)
    if said:
        unit.put(5, 3).put(int(bool(full_range)), 1).put(int(colours is not None), 1)
        for number in colours or ():
            unit.put(number, 8)
    unit.put(0, 6)


def record(
    *,
    profile: int = 100,
    chroma: int = 1,
    depth: int = 8,
    scaling: bool = False,
    order: int = 2,
    ratio: tuple[int, int] | int | None = None,
    full_range: bool | None = None,
    colours: tuple[int, int, int] | None = None,
    times: Writer | None = None,
) -> bytes:
    """Write an AVCDecoderConfigurationRecord around a sequence parameter set."""
    unit = Writer().put(profile, 8).put(0, 8).put(40, 8).golomb(0)
    if profile == 100:
        unit.golomb(chroma)
        if chroma == 3:
            unit.put(0, 1)
        unit.golomb(depth - 8, depth - 8).put(0, 1).put(int(scaling), 1)
        if scaling:
            unit.put(1, 1).golomb(16).put(0, 7 if chroma != 3 else 11)  # one list, which ends with its first step
    unit.golomb(0, order)
    if order == 0:
        unit.golomb(4)
    elif order == 1:
        unit.put(0, 1).golomb(0, 0, 2, 1, 1)
    unit.golomb(3).put(0, 1).golomb(19, 14).put(1, 1).put(1, 1).put(1, 1).golomb(0, 0, 0, 4)
    if times is None:
        put_usability(unit, ratio, full_range, colours)
    else:
        unit.put(1, 1).put(0, 3).bits += times.bits
    # Three bytes that would look like a start code are kept apart.
    body = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", b"\x67" + unit.bytes())
    return bytes((1, profile, 0, 40, 255, 225)) + len(body).to_bytes(2, "big") + body + b"\x01\x00\x00"


@pytest.mark.parametrize(
    ("fields", "pixel_format"),
    [
        ({}, "yuv420p"),
        ({"profile": 66}, "yuv420p"),
        ({"chroma": 2}, "yuv422p"),
        ({"chroma": 3}, "yuv444p"),
        ({"depth": 10}, "yuv420p10le"),
        ({"chroma": 2, "depth": 10}, "yuv422p10le"),
        ({"full_range": True}, "yuvj420p"),
        ({"chroma": 3, "full_range": True}, "yuvj444p"),
        ({"depth": 10, "full_range": True}, "yuv420p10le"),
        ({"scaling": True, "order": 0}, "yuv420p"),
        ({"order": 1, "full_range": True}, "yuvj420p"),
    ],
)
def test_how_pictures_are_stored_is_read(fields: dict[str, int], pixel_format: str) -> None:
    """By FFmpeg's names."""
    found = h264(record(**fields), full_range=None)  # type: ignore[arg-type]
    assert found is not None
    assert found.pixel_format == pixel_format


def test_what_is_said_of_colours_and_shape_is_read() -> None:
    """All of it, or nothing; the container's word on the range holds where the stream says none."""
    assert h264(record(ratio=(4, 3), full_range=False, colours=(9, 18, 9)), full_range=True) == H264(
        "yuv420p", (320, 232), False, Colours(9, 18, 9), Fraction(4, 3), True
    )
    assert h264(record(ratio=2), full_range=None) == H264("yuv420p", (320, 232), None, None, Fraction(12, 11), True)
    assert h264(record(ratio=(0, 3)), full_range=True) == H264("yuvj420p", (320, 232), True, None, None, True)


@pytest.mark.parametrize("buffers", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("each", [False, True])
def test_how_fast_pictures_follow_is_read(buffers: tuple[int, ...], each: bool) -> None:
    """Behind where chroma lies, and before what buffers there have to be."""
    times = Writer().put(1, 1).golomb(0, 0).put(1, 1).put(1001, 32).put(48_000, 32).put(1, 1)
    for number in range(2):
        times.put(int(number in buffers), 1)
        if number in buffers:
            times.golomb(1).put(0xA5, 8).golomb(9, 9).put(1, 1).golomb(8, 8).put(1, 1).put(0xA5A5A, 20)
    if buffers:
        times.put(0, 1)
    found = h264(record(times=times.put(int(each), 1).put(0, 1)), full_range=None)
    assert found is not None
    assert (found.frame_rate, found.progressive) == (Fraction(24_000, 1001), not each)


@pytest.mark.parametrize("fields", [{"chroma": 0}, {"depth": 11}, {"chroma": 3, "colours": (1, 1, 0)}, {"ratio": 99}])
def test_of_what_is_rare_nothing_is_said(fields: dict[str, int]) -> None:
    """A decoder knows better."""
    assert h264(record(**fields), full_range=None) is None  # type: ignore[arg-type]


@given(st.binary(max_size=40), st.integers(0, 60))
def test_no_header_is_too_broken(junk: bytes, cut: int) -> None:
    """Whatever it holds, or lacks, it is read or not, and nothing is raised."""
    for configuration in (junk, record(full_range=True)[:cut], record()[:8] + junk):
        h264(configuration, full_range=None)
        aac(configuration)


@given(st.integers(0, 200))
def test_a_header_that_was_cut_is_not_guessed_at(cut: int) -> None:
    """What stands behind the cut might have said something else."""
    whole = record(ratio=(4, 3), full_range=True, colours=(9, 18, 9))
    if 8 + int.from_bytes(whole[6:8], "big") > cut:
        assert h264(whole[:cut], full_range=None) is None


@pytest.mark.parametrize(
    ("bits", "found"),
    [
        ((2, 3, 2), Aac("LC", "stereo", 2, 48_000)),
        ((2, 4, 1), Aac("LC", "mono", 1, 44_100)),
        ((2, 3, 6), Aac("LC", "5.1", 6, 48_000)),
        ((2, 6, 2), None),  # 24 kHz, of which twice as much may be made
        ((5, 3, 2), None),  # HE-AAC, which says so
        ((2, 3, 0), None),  # channels by a program's configuration
        ((2, 15, 2), None),  # a rate of its own
    ],
)
def test_the_commonest_aac_is_told_from_others(bits: tuple[int, int, int], found: Aac | None) -> None:
    """Profile and channels."""
    kind, index, channels = bits
    assert aac(Writer().put(kind, 5).put(index, 4).put(channels, 4).put(0, 3).bytes()[:2]) == found


@pytest.mark.parametrize(("present", "found"), [(0, Aac("LC", "stereo", 2, 48_000)), (1, None)])
def test_an_extension_of_aac_is_seen(present: int, found: Aac | None) -> None:
    """It stands behind what older players read (ISO/IEC 14496-3, 1.6.5)."""
    plain = Writer().put(2, 5).put(3, 4).put(2, 4).put(0, 3)
    assert aac(plain.put(0x2B7, 11).put(5, 5).put(present, 1).put(0, 7).bytes()) == found
