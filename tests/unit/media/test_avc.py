"""What an H.264 stream's configuration says, and whether its first packet agrees, as FFmpeg's parser would find."""

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.codecs.avc import Avc, begins_as_configured, configured
from tests.media_files import clip_file


def judged(header: bytes, packet: bytes) -> Avc | None:
    """Give what the configuration says, where the packet begins accordingly."""
    found = configured(header, None)
    return found if found is not None and begins_as_configured(packet, header, found) else None


def stream(**fields: object) -> tuple[bytes, bytes]:
    """Give the header and the first packet of a clip."""
    with av.open(str(clip_file(container="mkv", frames=3, **fields))) as container:
        video = container.streams.video[0]
        return bytes(video.codec_context.extradata or b""), bytes(next(container.demux(video)))


@pytest.mark.parametrize(
    ("fields", "profile"),
    [
        ({}, "Constrained Baseline"),
        ({"quality": {"profile": "main", "preset": "medium"}}, "Main"),
        ({"quality": {"preset": "medium", "x264-params": "bframes=3"}}, "High"),
        ({"quality": {"preset": "medium", "x264-params": "nal-hrd=cbr:bitrate=100:vbv-maxrate=100:vbv-bufsize=100"}},
         "High"),
        ({"pixel_format": "yuv420p10le"}, "High 10"),
        ({"pixel_format": "yuv422p10le"}, "High 4:2:2"),
        ({"quality": {"preset": "medium", "x264-params": "interlaced=1"}}, None),
    ],
    ids=repr,
)  # fmt: skip
def test_profile_and_level(fields: dict[str, object], profile: str | None) -> None:
    """Of what x264 makes; nothing where pictures may be of fields."""
    found = judged(*stream(**fields))
    assert (None if found is None else found.profile) == profile
    assert found is None or found.level > 0


def test_what_the_parser_would_stumble_over() -> None:
    """A picture that refers to nothing, sets that are cut short or changed later, no picture at all."""
    header, packet = stream()
    assert judged(header, packet) is not None
    for damaged in (b"", header[:7], header[:-1], b"\2" + header[1:], header[:5] + b"\xe0" + header[6:]):
        assert judged(damaged, packet) is None
    start = 8 + int.from_bytes(packet[:4], "big")  # behind what the encoder says of itself
    assert packet[start] & 31 == 5
    broken = packet[: start + 1] + b"\0\0\1" + packet[start + 4 :]
    missing = packet[: start + 1] + b"\xc4" + packet[start + 2 :]  # the first bits: macroblock 0, kind 0, set 3
    for other in (b"", packet[:3], packet[:start], broken, missing):
        assert judged(header, other) is None


@given(st.integers(0, 60), st.integers(0, 255), st.binary(max_size=40))
def test_any_damage_is_judged(at: int, value: int, packet: bytes) -> None:
    """Whatever comes of it is a profile or nothing."""
    header, first = stream()
    damaged = header[:at] + bytes([value]) + header[at + 1 :]
    for content in (first, packet):
        assert isinstance(judged(damaged, content), Avc | None)
