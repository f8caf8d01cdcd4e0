"""FFmpeg's summary is read line by line."""

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
    assert parse_summary(SUMMARY) == {
        0: StreamSummary("video", "hevc", rotation=-90.0, display_matrix=True, dolby_vision=True),
        1: StreamSummary("audio", "ac4"),
        2: StreamSummary("data", None),
        3: StreamSummary("unknown", None),
        4: StreamSummary("video", "h264", display_matrix=True),
        5: StreamSummary("subtitle", None),
    }


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
