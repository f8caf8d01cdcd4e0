"""The table of what is held against ffprobe is whole, and says right from wrong."""

from dataclasses import fields, replace
from typing import Any

import pytest

from stoat_ferret.media import streams
from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo
from tools.agreement import FIELDS, NOT_COMPARED, compare
from tools.readings import CANNOT_TELL, FRAME_SIDE_DATA, PRIMARIES, sampling

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
            bit_depth=8,
            chroma="4:2:0",
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


GRADED: dict[str, Any] = {
    "side_data_type": "Mastering display metadata",
    **dict(zip(PRIMARIES, ("35400/50000", "14600/50000", "8500/50000", "39850/50000", "6550/50000", "2300/50000",
                           "15635/50000", "16450/50000"), strict=True)),
    "min_luminance": "1/10000",
    "max_luminance": "10000000/10000",
}  # fmt: skip
LIGHT: dict[str, Any] = {"side_data_type": "Content light level metadata", "max_content": 1000, "max_average": 0}
LIGHT_SAID: dict[str, object] = {
    "mastering_primaries": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329),
    "mastering_min_luminance": 0.0001,
    "mastering_max_luminance": 1000.0,
    "max_content_light": 1000,
    "max_average_light": None,
}


@pytest.mark.parametrize("place", ["side_data_list", FRAME_SIDE_DATA])
def test_light_is_read_where_the_container_or_a_frame_says_it(place: str) -> None:
    """Rounded as FFmpeg rounds; an average of zero was never measured."""
    stream = {"index": 0, "codec_type": "video", "color_transfer": "smpte2084", place: [GRADED, LIGHT]}
    assert {name: theirs(f"stream.{name}", stream) for name in LIGHT_SAID} == LIGHT_SAID
    half = stream | {place: [{"side_data_type": "Mastering display metadata", "min_luminance": "0/0"}]}
    assert theirs("stream.mastering_min_luminance", half) is None
    assert theirs("stream.mastering_primaries", half) is None


def test_a_pq_picture_s_light_is_not_judged_without_a_frame() -> None:
    """It may be said there only; of any other picture nothing is said then."""
    for name in LIGHT_SAID:
        assert theirs(f"stream.{name}", {"color_transfer": "smpte2084"}) is CANNOT_TELL
        assert theirs(f"stream.{name}", {"color_transfer": "bt709"}) is None
    assert theirs("stream.hdr10_plus", {"color_transfer": "smpte2084"}) is CANNOT_TELL
    assert theirs("stream.hdr10_plus", {FRAME_SIDE_DATA: [GRADED]}) is False


@pytest.mark.parametrize(
    ("pixel_format", "bits", "chroma"),
    [
        ("yuv420p", 8, "4:2:0"), ("yuvj422p", 8, "4:2:2"), ("yuv444p12le", 12, "4:4:4"), ("yuva444p10le", 10, "4:4:4"),
        ("yuv411p", 8, "4:1:1"), ("yuv440p", 8, "4:4:0"), ("yuv410p", 8, "4:1:0"), ("gray", 8, "4:0:0"),
        ("gray16be", 16, "4:0:0"), ("ya8", 8, "4:0:0"), ("nv12", 8, "4:2:0"), ("p010le", 10, "4:2:0"),
        ("uyvy422", 8, "4:2:2"), ("rgb24", 8, None), ("gbrp10le", 10, None), ("rgba64le", 16, None), ("pal8", 8, None),
        ("monob", 1, None),
    ],
)  # fmt: skip
def test_two_ways_to_read_a_pixel_format_agree(pixel_format: str, bits: int, chroma: str | None) -> None:
    """By its name, as the oracle does, and by what FFmpeg knows of it, as the probe does."""
    assert sampling(pixel_format) == streams.sampling(pixel_format) == (bits, chroma)


def test_bits_of_a_sample_are_compared_where_none_is_lost() -> None:
    """ffprobe also names those of decoders that make them up."""
    bits = {"codec_type": "audio", "bits_per_sample": 0, "bits_per_raw_sample": "24"}
    assert theirs("stream.bits_per_sample", bits | {"codec_name": "flac"}) == 24
    assert theirs("stream.bits_per_sample", bits | {"codec_name": "dts"}) is None
    assert theirs("stream.bits_per_sample", bits | {"codec_name": "pcm_s16le", "bits_per_sample": 16}) == 16
    assert theirs("stream.bits_per_sample", {"codec_type": "video"}) is None


def theirs(name: str, part: dict[str, Any]) -> object:
    [field] = [entry for entry in FIELDS if entry.name == name]
    return field.theirs(part)


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
