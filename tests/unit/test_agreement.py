"""The table of what is held against ffprobe is whole, and says right from wrong."""

from dataclasses import fields, replace
from typing import Any

import pytest

from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo
from tools.agreement import FIELDS, NOT_COMPARED, compare

KINDS = {"": MediaInfo, "stream.": StreamInfo, "chapter.": ChapterInfo}
STREAM: dict[str, Any] = {
    "index": 0,
    "codec_type": "video",
    "codec_name": "h264",
    "codec_tag_string": "avc1",
    "profile": "High",
    "width": 720,
    "height": 576,
    "sample_aspect_ratio": "16:15",
    "pix_fmt": "yuv420p",
    "avg_frame_rate": "25/1",
    "r_frame_rate": "0/0",
    "start_time": "0.000000",
    "bit_rate": "1000",
    "disposition": {"default": 1, "dub": 0},
    "tags": {"language": "eng"},
    "side_data_list": [{"side_data_type": "Display Matrix", "rotation": -90}],
}
DOCUMENT: dict[str, Any] = {
    "format": {"format_name": "mov", "duration": "1.500000", "tags": {"creation_time": "2024-05-06T07:08:09Z"}},
    "streams": [STREAM],
    "chapters": [{"id": 7, "start_time": "0.000000", "end_time": "1.000000", "tags": {"title": "One"}}],
}
INFO = MediaInfo(
    container="mov",
    duration=1.5,
    width=720,
    height=576,
    rotation=90,
    display_width=576,
    display_height=768,
    video_codec="h264",
    video_profile="High",
    pixel_format="yuv420p",
    frame_rate="25/1",
    frame_rate_float=25.0,
    hdr="sdr",
    created_at_in_camera="2024-05-06T07:08:09Z",
    tags={"creation_time": "2024-05-06T07:08:09Z"},
    streams=(
        StreamInfo(
            index=0,
            kind="video",
            codec="h264",
            codec_tag="avc1",
            profile="High",
            language="eng",
            disposition=("default",),
            start_time=0.0,
            bit_rate=1000,
            width=720,
            height=576,
            sample_aspect_ratio="16:15",
            pixel_format="yuv420p",
            frame_rate="25/1",
            rotation=90,
        ),
    ),
    chapters=(ChapterInfo(index=0, start=0.0, end=1.0, title="One"),),
)


def verdicts(info: MediaInfo, document: dict[str, Any]) -> dict[str, str]:
    """Give those that are not `equal`."""
    return {c.field.name: c.verdict for c in compare(info, document) if c.verdict != "equal"}


def test_every_stored_field_is_compared_or_it_is_said_why_not() -> None:
    """Whoever stores another one adds it to the table."""
    stored = {prefix + entry.name for prefix, kind in KINDS.items() for entry in fields(kind)}
    compared = {entry.name for entry in FIELDS}
    assert compared | NOT_COMPARED.keys() == stored
    assert not compared & NOT_COMPARED.keys()


def test_two_that_say_the_same_agree_in_every_field() -> None:
    """However each writes it: rates, times, shapes, rotations, unknowns."""
    assert verdicts(INFO, DOCUMENT) == {}


def test_null_and_wrong_and_absent_are_told_apart() -> None:
    """Unknown to us, otherwise to us, unknown to them; what neither says is passed over."""
    [stream] = INFO.streams
    ours = replace(
        INFO, duration=None, hdr="hlg", streams=(replace(stream, profile=None, codec="hevc", field_order="tt"),)
    )
    assert verdicts(ours, DOCUMENT) == {
        "duration": "ours null",
        "hdr": "wrong",
        "stream.profile": "ours null",
        "stream.codec": "wrong",
        "stream.field_order": "theirs absent",
    }


def test_a_stream_or_a_chapter_too_few_is_seen() -> None:
    """Though there is nothing to pair it with."""
    assert verdicts(replace(INFO, streams=(), chapters=()), DOCUMENT) == {"streams": "wrong", "chapters": "wrong"}


@pytest.mark.parametrize(
    ("stream", "frame", "hdr"),
    [
        ({}, None, "sdr"),
        ({"color_transfer": "arib-std-b67"}, None, "hlg"),
        ({"color_transfer": "smpte2084"}, ["Mastering display metadata"], "hdr10"),
        ({"color_transfer": "smpte2084"}, ["HDR Dynamic Metadata SMPTE2094-40 (HDR10+)"], "hdr10_plus"),
        ({"color_transfer": "smpte2084"}, ["Dolby Vision RPU Data"], "dolby_vision"),
        (
            {"color_transfer": "arib-std-b67", "side_data_list": [{"side_data_type": "DOVI configuration record"}]},
            None,
            "dolby_vision",
        ),
    ],
)
def test_dynamic_ranges_are_read_out_of_ffprobe_s_lines(stream: Any, frame: Any, hdr: Any) -> None:
    """And each other one is wrong."""
    document = {"format": {}, "streams": [STREAM | stream], "frame_side_data": frame}
    for ours in ("sdr", "hlg", "hdr10", "hdr10_plus", "dolby_vision"):
        found = {c.verdict for c in compare(MediaInfo(container="mov", hdr=ours), document) if c.field.ours == "hdr"}
        assert found == {"equal" if ours == hdr else "wrong"}


def test_a_pq_picture_of_which_no_frame_came_is_not_judged() -> None:
    """It could be any of three."""
    document = {"format": {}, "streams": [STREAM | {"color_transfer": "smpte2084"}]}
    assert "hdr" not in {c.field.ours for c in compare(MediaInfo(container="mov", hdr="hdr10"), document)}


@pytest.mark.parametrize(
    ("written", "tag"),
    [("avc1", "avc1"), ("raw ", "raw"), ("[27][0][0][0]", None), ("V_V[47]", "V_V/"), ("[0][0][0][0]", None)],
)
def test_codec_tags_are_characters_or_nothing(written: str, tag: str | None) -> None:
    """ffprobe writes the others as numbers."""
    [theirs] = [entry.theirs for entry in FIELDS if entry.name == "stream.codec_tag"]
    assert theirs({"codec_tag_string": written}) == tag


def test_broken_text_may_be_replaced_by_more_or_fewer_characters() -> None:
    """PyAV and ffprobe do not count alike."""
    document = {"format": {"format_name": "mov", "tags": {"artist": "Caf\ufffd\ufffd"}}, "streams": []}
    assert verdicts(MediaInfo(container="mov", tags={"artist": "Caf\ufffd"}), document) == {}


def test_numbers_that_are_none_are_no_reason_to_stop() -> None:
    """Damaged files make ffprobe write such; they say nothing."""
    odd = STREAM | {
        "avg_frame_rate": "25/0",
        "r_frame_rate": "x",
        "sample_aspect_ratio": "1:0",
        "start_time": "nil",
        "bit_rate": "N/A",
        "width": 0,
        "side_data_list": [{"side_data_type": "Display Matrix", "rotation": -2147483648}],
    }
    theirs = {entry.name: entry.theirs(odd) for entry in FIELDS if entry.scope in ("stream", "picture")}
    names = ("frame_rate", "real_frame_rate", "sample_aspect_ratio", "start_time", "bit_rate", "width", "rotation")
    assert {theirs[f"stream.{name}"] for name in names} == {None}
    assert theirs["frame_rate_float"] is None
    assert theirs["display_width"] is None
