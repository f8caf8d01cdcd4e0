"""FFmpeg's summary is read line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.dump import StreamSummary, parse_summary

SUMMARY = """Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '':
  Metadata:
    title           : Stream #0:7: Video: forged
  Duration: 00:00:01.67, start: 0.000000, bitrate: 274 kb/s
    Side data:
      Display Matrix: rotation of 45.00 degrees
  Stream #0:0[0x1](und): Video: hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le, 1920x1080, 254 kb/s (default)
    Metadata:
      handler_name    : Core Media Video
    Side data:
      DOVI configuration record: version: 1.0, profile: 8, level: 4, rpu flag: 1, el flag: 0, bl flag: 1
      Display Matrix: rotation of -90.00 degrees
  Stream #0:1[0x1e1]: Audio: ac4 (AC-4 / 0x342D4341), 0 channels
  Stream #0:2: Data: none (mebx / 0x7862656D), 0 kb/s (default)
  Stream #0:3: Unknown: none ([11][0][0][0] / 0x000B)
  Stream #0:4: Video: h264, yuv420p
    Side data:
      Display Matrix: rotation of nan degrees
  Stream #0:5(eng): Subtitle: unknown_codec
"""


def test_streams_with_their_codec_rotation_and_dolby_vision() -> None:
    """What PyAV does not give without decoding is in the summary."""
    dolby_vision = {"dolby_vision_profile": 8, "dolby_vision_level": 4}
    assert parse_summary(SUMMARY) == {
        0: StreamSummary("video", "hevc", rotation=-90.0, display_matrix=True, side_data=dolby_vision),
        1: StreamSummary("audio", "ac4"),
        2: StreamSummary("data", None),
        3: StreamSummary("unknown", None),
        4: StreamSummary("video", "h264", display_matrix=True),
        5: StreamSummary("subtitle", None),
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "DOVI configuration record: version: 1.0, profile: 8, level: 4, rpu flag: 1, el flag: 0, bl flag: 1, "
            "compatibility id: 1, compression: 0",
            {"dolby_vision_profile": 8, "dolby_vision_level": 4, "dolby_vision_compatibility": 1},
        ),
        (
            "Mastering display metadata: has_primaries:1 has_luminance:1 r(0.6780,0.3220) g(0.2450,0.7030) "
            "b(0.1380 0.0520) wp(0.3127, 0.3290) min_luminance=0.005000, max_luminance=1000.000000",
            {
                "mastering_primaries": (0.678, 0.322, 0.245, 0.703, 0.138, 0.052, 0.3127, 0.329),
                "mastering_min_luminance": 0.005,
                "mastering_max_luminance": 1000.0,
            },
        ),
        (
            "Mastering display metadata: has_primaries:0 has_luminance:1 r(0.0000,0.0000) g(0.0000,0.0000) "
            "b(0.0000 0.0000) wp(0.0000, 0.0000) min_luminance=nan, max_luminance=1000.000000",
            {},
        ),
        (
            "Content light level metadata: MaxCLL=1100, MaxFALL=0",
            {"max_content_light": 1100, "max_average_light": None},
        ),
        ("Stereo 3D: side by side, view: packed, primary eye: none", {"stereo_3d": "side by side"}),
        ("Stereo 3D: unspecified, view: packed, primary eye: left, baseline: 19240", {}),
        ("Spherical Mapping: equirectangular ", {"projection": "equirectangular"}),
        (
            "Spherical Mapping: half equirectangular (1.000000/0.000000/0.000000) ",
            {"projection": "half equirectangular"},
        ),
        ("Spherical Mapping: tiled equirectangular [0, 0, 0, 0] ", {"projection": "tiled equirectangular"}),
        ("Spherical Mapping: cubemap [pad 0] ", {"projection": "cubemap"}),
        ("CPB properties: bitrate max/min/avg: 0/0/0 buffer size: 49152 vbv_delay: N/A", {}),
    ],
)
def test_side_data_becomes_fields(line: str, said: dict[str, object]) -> None:
    """What FFmpeg rounds to fewer decimals than the file has is as good as it says; what is no number is not known."""
    text = f"  Stream #0:0: Video: hevc, yuv420p10le\n    Side data:\n      {line}\n"
    assert parse_summary(text)[0].side_data == said


def test_subtitles_that_are_pictures_have_a_size() -> None:
    """As ffprobe says it; those that are text have none."""
    pictures = "  Stream #0:0(eng): Subtitle: hdmv_pgs_subtitle (pgssub), 1280x720 (default)"
    text = f"{pictures}\n  Stream #0:1: Subtitle: ass (ssa)"
    assert [stream.side_data for stream in parse_summary(text).values()] == [{"width": 1280, "height": 720}, {}]


@pytest.mark.parametrize(
    ("line", "bits"),
    [
        ("  Stream #0:1: Audio: flac, 48000 Hz, stereo, s32 (24 bit), 9 kb/s", 24),
        ("  Stream #0:1: Audio: flac, 48000 Hz, stereo, s16, 9 kb/s", None),
        ("  Stream #0:1: Video: ffv1, yuv420p16le(9 bpc, tv, progressive), 160x96", 9),
        ("  Stream #0:1: Video: ffv1, yuv420p16le(9 bpc), 160x96", 9),
        ("  Stream #0:1: Video: h264 (High 10), yuv420p10le(tv), 160x96", None),
    ],
)
def test_the_bits_that_count(line: str, bits: int | None) -> None:
    """Where they are fewer than the format has."""
    assert parse_summary(line)[1].raw_bits == bits


def test_tags_are_not_taken_for_side_data() -> None:
    """Whatever their keys and values are."""
    forged = """  Stream #0:0: Video: h264, yuv420p
    Metadata:
      DOVI configuration record: version: 1.0
      comment         : see Display Matrix: rotation of 90.00 degrees
      Display Matrix: rotation of 90.00 degrees: x
      Side data       : y
"""
    assert parse_summary(forged) == {0: StreamSummary("video", "h264")}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Titles are written by anybody and stand in the summary."""
    parse_summary(text)
    parse_summary(SUMMARY + text)
