"""What a person searches by: light, depth, stereo, cameras, places, timecode, attachments."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from stoat_ferret.media import probe
from stoat_ferret.media.info import Location, MediaInfo, StreamInfo
from stoat_ferret.media.source import opened
from tests.media_files import STSD, AudioTrack, box, clip_file, with_box

DOLBY_VISION = box(b"dvvC", b"\1\0", ((8 << 9) | (4 << 3) | 0b101).to_bytes(2, "big"), bytes([4 << 4]), bytes(19))
"""Profile 8.4 at level 4."""
GRADED = box(b"mdcv", pack(">8H2I", 8500, 39850, 6550, 2300, 35400, 14600, 15635, 16450, 10_000_000, 50))
LIGHT = box(b"clli", pack(">2H", 1000, 400))
SIDE_BY_SIDE = box(b"st3d", bytes(4), b"\2")
ALL_AROUND = box(
    b"sv3d",
    box(b"svhd", bytes(4), b"maker\0"),
    box(b"proj", box(b"prhd", bytes(4), bytes(12)), box(b"equi", bytes(4), bytes(16))),
)
DV_SOUND = (AudioTrack(codec="pcm_s16le", channels=2),)
PLACE = box(b"\xa9xyz", pack(">2H", 26, 0x15C7), b"+51.3714-000.1977+033.130/")


def quickly(path: Path) -> MediaInfo | None:
    """Examine by the headers only."""
    with opened(bytes(path)) as source:
        return probe._from_headers(source)  # whether it is used is what is asked


def altered(tmp_path: Path, boxes: bytes, *place: bytes, **fields: Any) -> Path:
    """Give a clip into whose index boxes were put."""
    path = tmp_path / "altered.mp4"
    path.write_bytes(with_box(clip_file(fast_start=False, **fields).read_bytes(), place, boxes))
    return path


def picture_of(path: Path, *, quick: bool = False) -> StreamInfo:
    """Examine in both ways where there are two (`quick`: there are), and insist that they say the same."""
    info, by_headers = probe.examine(bytes(path)), quickly(path)
    assert by_headers == info or (by_headers is None and not quick)
    return next(stream for stream in info.streams if stream.kind == "video")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, (11, 8, "4:2:0", None, 10)),
        ({"pixel_format": "yuv422p10le"}, (11, 10, "4:2:2", None, 10)),
        ({"pixel_format": "yuv444p"}, (11, 8, "4:4:4", None, 10)),
        ({"codec": "libx265"}, (30, 8, "4:2:0", None, 10)),
        ({"codec": "ffv1", "container": "mkv"}, (None, 8, "4:2:0", None, None)),
        ({"codec": "ffv1", "container": "mkv", "pixel_format": "yuv420p9le"}, (None, 9, "4:2:0", None, None)),
        ({"codec": "ffv1", "container": "mkv", "pixel_format": "gray"}, (None, 8, "4:0:0", None, None)),
        ({"codec": "png", "container": "mov", "pixel_format": "rgb24"}, (None, 8, None, None, 10)),
        ({"size": (720, 576), "sample_aspect_ratio": Fraction(16, 15)}, (30, 8, "4:2:0", "4:3", 10)),
        ({"codec": "mpeg4", "container": "avi"}, (1, 8, "4:2:0", "5:3", 10)),
    ],
    ids=repr,
)
def test_a_picture_s_depth_and_shape(fields: dict[str, Any], said: tuple[object, ...]) -> None:
    """Level, bits of a colour, chroma, shape, number of frames; null where the file does not say."""
    stream = picture_of(clip_file(**fields))
    assert (stream.level, stream.bit_depth, stream.chroma, stream.display_aspect_ratio, stream.frame_count) == said


@pytest.mark.parametrize(
    ("codec", "container", "bits"),
    [
        ("pcm_s24le", "mov", 24),
        ("pcm_s16le", "avi", 16),
        ("flac", "mkv", 16),
        ("alac", "mov", 24),
        ("aac", "mp4", None),
    ],
)
def test_a_sample_s_bits(codec: str, container: str, bits: int | None) -> None:
    """Of sound that is stored without loss."""
    path = clip_file(container=container, audio=(AudioTrack(codec=codec),), codec="mpeg4")
    [sound] = [stream for stream in probe.examine(bytes(path)).streams if stream.kind == "audio"]
    assert sound.bits_per_sample == bits


def test_raw_dv_has_a_rate_that_people_know() -> None:
    """FFmpeg takes the unit in which it counts time for the average."""
    info = probe.examine(bytes(clip_file(container="dv", codec="dvvideo", size=(720, 576), audio=DV_SOUND)))
    assert (info.frame_rate, info.frame_rate_float, info.streams[0].frame_rate) == ("25/1", 25.0, "25/1")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("transfer", ["hdr10", "hlg"])
def test_dolby_vision_says_which(tmp_path: Path, transfer: str) -> None:
    """Profile, level, and what other players take it for; the display it was graded on, if it is said."""
    path = altered(tmp_path, DOLBY_VISION, *STSD, b"hev1", codec="libx265", hdr=transfer)
    stream = picture_of(path, quick=transfer == "hlg")
    said = (stream.dolby_vision_profile, stream.dolby_vision_level, stream.dolby_vision_compatibility)
    assert said == (8, 4, 4)
    assert stream.hdr10_plus is (False if transfer == "hdr10" else None)
    assert (stream.mastering_max_luminance is None) == (transfer == "hlg")


@pytest.mark.usefixtures("way")
def test_a_bare_stream_s_light_comes_from_its_frames() -> None:
    """As nearly all of HDR10 has it."""
    stream = picture_of(clip_file(codec="libx265", hdr="hdr10"))
    assert stream.mastering_primaries == (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329)
    assert (stream.mastering_min_luminance, stream.mastering_max_luminance) == (0.0001, 1000.0)
    assert (stream.max_content_light, stream.max_average_light, stream.hdr10_plus) == (1000, 400, False)


def test_hdr10_plus_is_seen_in_a_frame(tmp_path: Path) -> None:
    """Nothing else tells it."""
    path = tmp_path / "plus.hevc"
    path.write_bytes(with_hdr10_plus(clip_file(container="hevc", codec="libx265", hdr="hdr10").read_bytes()))
    assert probe.examine(bytes(path)).hdr == "hdr10_plus"
    assert picture_of(path).hdr10_plus is True


def with_hdr10_plus(stream: bytes) -> bytes:
    """Put dynamic metadata for one window (SMPTE ST 2094-40) before the first picture of a bare HEVC stream."""
    fields = (
        (4, 8), (1, 8), (1, 2), (400, 27), (0, 1),  # application, its version, windows, target's luminance, no peak
        (1000, 17), (1000, 17), (1000, 17), (200, 17), (0, 4), (0, 10),  # brightest red, green, blue; average; nothing
        (0, 1), (0, 1), (0, 1),  # no peak of the display, no tone mapping, no saturation
    )  # fmt: skip
    bits = "".join(f"{value:0{size}b}" for value, size in fields)
    payload = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    message = b"\xb5\0\x3c\0\1" + payload  # the United States, Samsung, its first code (ITU-T T.35)
    escaped = message.replace(b"\0\0", b"\0\0\3")
    unit = b"\0\0\0\1\x4e\1\4" + bytes([len(message)]) + escaped + b"\x80"
    at = next(found.start() for found in re.finditer(b"\0\0\1", stream) if (stream[found.end()] >> 1) < 32)
    return stream[:at] + unit[1:] + stream[at:]


@pytest.mark.usefixtures("way")
def test_the_container_s_light_is_told(tmp_path: Path) -> None:
    """By both ways of reading it."""
    stream = picture_of(altered(tmp_path, GRADED + LIGHT, *STSD, b"hev1", codec="libx265", hdr="hlg"), quick=True)
    assert stream.mastering_primaries == (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329)
    assert (stream.mastering_min_luminance, stream.mastering_max_luminance) == (0.005, 1000.0)
    assert (stream.max_content_light, stream.max_average_light) == (1000, 400)


@pytest.mark.usefixtures("way")
def test_pictures_for_two_eyes_and_all_around(tmp_path: Path) -> None:
    """How they are packed, and onto what they are projected."""
    stream = picture_of(altered(tmp_path, SIDE_BY_SIDE + ALL_AROUND, *STSD, b"avc1"), quick=True)
    assert (stream.stereo_3d, stream.projection, stream.views) == ("side by side", "equirectangular", None)


@pytest.mark.usefixtures("way")
def test_a_camera_names_itself_and_its_place_is_kept_apart(tmp_path: Path) -> None:
    """The place is in no tag that is shown or searched."""
    info = probe.examine(bytes(clip_file(container="mov", tags={"make": "Canon", "model": "EOS R5", "title": "A"})))
    assert (info.camera_make, info.camera_model, info.location) == ("Canon", "EOS R5", None)
    path = altered(tmp_path, box(b"udta", PLACE), b"moov")
    info = probe.examine(bytes(path))
    assert info == quickly(path)
    assert info.location == Location(latitude=51.3714, longitude=-0.1977, altitude=33.13)
    assert "51.37" not in repr(info.tags) + repr(info.streams)


@pytest.mark.usefixtures("way")
def test_timecode_is_the_file_s() -> None:
    """Though it is a track of its own in QuickTime."""
    path = clip_file(container="mov", tags={"timecode": "10:00:00:00"})
    info = probe.examine(bytes(path))
    assert info == quickly(path)
    assert info.timecode == "10:00:00:00"
    assert {stream.timecode for stream in info.streams} == {"10:00:00:00"}
    assert probe.examine(bytes(clip_file(container="mov"))).timecode is None


def test_attachments_have_a_name_and_a_type() -> None:
    """Cover art in Matroska is one."""
    streams = probe.examine(bytes(clip_file(container="mkv", cover=True))).streams
    [attached] = [stream for stream in streams if stream.file_name]
    assert (attached.file_name, attached.mime_type) == ("cover.jpg", "image/jpeg")


def test_a_stream_s_tags_are_kept_but_for_what_has_a_field() -> None:
    """And but for what is too long to have been written by a person."""
    path = clip_file(audio=(AudioTrack(language="eng", title="Hall"),))
    [sound] = [stream for stream in probe.examine(bytes(path)).streams if stream.kind == "audio"]
    assert (sound.language, sound.tags) == ("eng", {"handler_name": "SoundHandler", "name": "Hall"})


def test_what_the_boxes_say_is_what_ffprobe_says(tmp_path: Path) -> None:
    """Where there is one."""
    path = altered(tmp_path, GRADED + LIGHT + DOLBY_VISION + SIDE_BY_SIDE + ALL_AROUND, *STSD, b"hev1", codec="libx265")
    try:
        done = subprocess.run(["ffprobe", "-v", "error", "-show_streams", path], capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("there is no ffprobe on the PATH")
    for line in (
        "dv_profile=8", "dv_level=4", "dv_bl_signal_compatibility_id=4", "red_x=35400/50000", "min_luminance=50/10000",
        "max_content=1000", "type=side by side", "projection=equirectangular",
    ):  # fmt: skip
        assert line in done.stdout.decode(), line
    stream = picture_of(path)
    assert (stream.dolby_vision_profile, stream.stereo_3d, stream.projection) == (8, "side by side", "equirectangular")
