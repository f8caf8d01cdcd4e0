"""Files that are examined by their headers alone: the same must come of it as with decoders."""

import json
from fractions import Fraction
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from stoat_ferret.errors import StoatError
from stoat_ferret.media import headers, probe
from stoat_ferret.media.codecs import decoders
from stoat_ferret.media.formats import OPEN_OPTIONS
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import opened
from tests.media_files import AudioTrack, SubtitleTrack, clip_file, samples_folder, truncate

PLAIN: tuple[dict[str, Any], ...] = (
    {},
    {"container": "mov"},
    {"fast_start": False},
    {"vfr": True, "rate": Fraction(30000, 1001)},
    {"rotation": 90, "audio": (AudioTrack(channels=2),)},
    {"pixel_format": "yuvj420p", "full_range": True},
    {"full_range": True},
    *({"pixel_format": name} for name in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le")),
    {"sample_aspect_ratio": Fraction(4, 3)},
    {"quality": {"x264-params": "sar=12/11"}},
    {"quality": {"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709:range=pc"}},
    {"quality": {"x264-params": "cqm=jvt"}},
    {"quality": {"x264-params": "interlaced=1"}},
    {"hdr": "hlg"},
    {"codec": "libx265"},
    {"codec": "libx265", "pixel_format": "yuv420p10le", "sample_aspect_ratio": Fraction(4, 3)},
    {"codec": "libx265", "hdr": "hlg"},
    {"codec": "libsvtav1"},
    {"audio": (AudioTrack(sample_rate=44100), AudioTrack(channels=6))},
    {"audio": (AudioTrack(codec="alac"),), "container": "mov"},
    {"chapters": ("one", "two"), "title": "A title", "tags": {"comment": "été"}},
    {"container": "mov", "tags": {"timecode": "10:00:00:00", "make": "Canon", "location": "+51.3714-000.1977/"}},
    {"audio": (AudioTrack(language="eng", title="Hall"),), "subtitles": (SubtitleTrack(language="fra"),)},
)
"""Clips of which the headers say enough."""
PLAIN += tuple({"hdr": "hdr10", "codec": "libx265", "container": name} for name in ("mp4", "mov", "mkv"))
PLAIN += tuple({"cover": True, "audio": (AudioTrack(),), "container": name, "frames": 30} for name in ("mp4", "mkv"))
_BIDIRECTIONAL = {"preset": "medium", "x264-params": "bframes=3"}
_SOUNDS = {"aac": 6, "libopus": 6, "ac3": 6, "flac": 2, "pcm_s16le": 2, "pcm_s24le": 1, "alac": 2}
"""By encoder; and how many channels at most."""
_MATROSKA: tuple[dict[str, Any], ...] = (
    *({"frames": count, "quality": _BIDIRECTIONAL} for count in (20, 30, 60)),
    {"quality": {"x264-params": "interlaced=1"}, "frames": 30},
    {"quality": {"x264-params": "sar=12/11"}},
    {"pixel_format": "yuv422p10le"},
    {"vfr": True, "rate": Fraction(30000, 1001), "frames": 40},
    {"hdr": "hlg"},
    {"rotation": 90},
    *({"codec": name} for name in ("libx265", "libsvtav1", "libvpx", "libvpx-vp9")),
    {"codec": "libx265", "hdr": "hlg"},
    {
        "codec": "libx265",
        "frames": 30,
        "quality": {"x265-params": "log-level=none:pools=none:frame-threads=1:bframes=3"},
    },
    {"codec": "libvpx-vp9", "full_range": True},
    {"codec": "libvpx-vp9", "sample_aspect_ratio": Fraction(4, 3)},
    *(
        {"audio": (AudioTrack(codec=name, channels=channels),)}
        for name, most in _SOUNDS.items()
        for channels in sorted({1, most})
    ),
    {"audio": (AudioTrack(language="eng", title="Hall"), AudioTrack(channels=2)), "chapters": ("one", "two")},
    {"codec": "libx265", "audio": (AudioTrack(codec="libopus"),), "frames": 50, "tags": {"comment": "été"}},
    {"codec": "libvpx-vp9", "audio": (AudioTrack(codec="libopus", channels=2),), "container": "webm"},
)
PLAIN += tuple({"container": "mkv", "frames": 30} | fields for fields in _MATROSKA)
_DOUBTFUL_MATROSKA: tuple[dict[str, Any], ...] = (
    {"codec": "mpeg4"},
    {"audio": (AudioTrack(codec="libmp3lame"),)},
    {"audio": (AudioTrack(codec="eac3"),)},
    {"audio": (AudioTrack(sample_rate=24000),)},
    {"audio": (AudioTrack(codec="flac", channels=6),)},
    *({"frames": count, "quality": _BIDIRECTIONAL} for count in (1, 2, 3, 5, 19)),
)
DOUBTFUL: tuple[dict[str, Any], ...] = (
    {"hdr": "hdr10"},
    {"pixel_format": "gray"},
    {"audio": (AudioTrack(sample_rate=24000),)},
    {"audio": (AudioTrack(codec="mp3"),)},
    {"codec": "mpeg4"},
    *({"container": "mkv"} | fields for fields in _DOUBTFUL_MATROSKA),
)
"""Clips of which they do not."""


def by_headers(path: Path) -> MediaInfo | None:
    with opened(bytes(path)) as source:
        return probe._from_headers(source)  # whether it is used is what is asked


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("fields", PLAIN, ids=repr)
def test_the_headers_say_what_the_decoders_say(fields: dict[str, Any]) -> None:
    """Of nearly all that people have."""
    path = clip_file(**fields)
    assert by_headers(path) == probe.examine(bytes(path))


@pytest.mark.parametrize("fields", DOUBTFUL, ids=repr)
def test_where_they_do_not_the_decoders_are_asked(fields: dict[str, Any]) -> None:
    """And whoever asks does not notice."""
    path = clip_file(**fields)
    assert by_headers(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == probe.probe(bytes(path))


@pytest.mark.usefixtures("way")
def test_no_decoder_is_opened_for_what_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """H.264 with AAC above all."""
    for name in ("bare", "opened"):  # the latter remembers
        monkeypatch.setattr(decoders, name, None)
    assert by_headers(clip_file(audio=(AudioTrack(channels=2),))) is not None


@pytest.mark.usefixtures("way")
def test_a_file_of_which_the_end_is_lacking_is_the_same_both_ways(tmp_path: Path) -> None:
    """As far as it goes; without its index it is refused with the same words."""
    for number, fast_start in enumerate((True, False)):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(clip_file(fast_start=fast_start).read_bytes())
        truncate(path, 0.6)
        both = []
        with opened(bytes(path)) as source:
            for given in (source, None):
                try:
                    both.append(probe.probe(bytes(path), given))
                except StoatError as error:
                    both.append(error.message)  # type: ignore[arg-type]
        assert both[0] == both[1]


@pytest.mark.usefixtures("way")
def test_real_files_are_the_same_both_ways() -> None:
    """Of other projects; a good part of them by their headers."""
    folder = samples_folder()
    quick = 0
    for line in (folder / "EXPECTED.jsonl").read_text().splitlines():
        path = folder / json.loads(line)["path"]
        if (found := by_headers(path)) is not None:
            quick += 1
            assert found == probe.examine(bytes(path)), path
    assert quick >= 13


def test_colours_of_which_container_and_stream_do_not_agree(tmp_path: Path) -> None:
    """Are those that FFmpeg takes."""
    content = bytearray(clip_file(codec="libx265", hdr="hdr10", fast_start=False).read_bytes())
    matrix = content.rindex(b"colrnclx") + 8 + 4
    assert content[matrix : matrix + 2] == b"\0\x09"
    content[matrix + 1] = 11
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert by_headers(path) is None


def test_a_sampling_rate_of_which_container_and_stream_do_not_agree(tmp_path: Path) -> None:
    """Is that of the stream, whose decoder FFmpeg believes."""
    content = clip_file(container="mkv", frames=30, audio=(AudioTrack(codec="flac"),)).read_bytes()
    said = pack(">d", 48_000)
    assert content.count(said) == 1
    path = tmp_path / "x.mkv"
    path.write_bytes(content.replace(said, pack(">d", 44_100)))
    assert by_headers(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source).streams[1].sample_rate == 48_000


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("cover", [False, True])
def test_sound_that_is_shorter_than_the_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cover: bool) -> None:
    """FFmpeg takes it for as long where it has not seen a packet of it, as behind a first picture of many bytes."""
    monkeypatch.setattr(headers, "_SHORT_LOOK", 10_000)
    fields: dict[str, Any] = {"size": (1280, 720), "frames": 8, "quality": {"qp": "1"}, "cover": cover}
    content = bytearray(clip_file(**fields, audio=(AudioTrack(),), fast_start=False).read_bytes())
    duration = content.rindex(b"mdhd", 0, content.rindex(b"soun")) + 20
    content[duration : duration + 4] = (960).to_bytes(4, "big")
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    found, whole = by_headers(path), probe.examine(bytes(path))
    assert whole.streams[1].duration == 0.02
    assert found == whole or (cover and found is None)


_SOUND = (AudioTrack(channels=2),)


@pytest.mark.parametrize("begin", [0.0, 0.3])
@pytest.mark.parametrize(
    "fields",
    [
        {"audio": _SOUND},
        {"quality": _BIDIRECTIONAL, "audio": _SOUND},
        {"quality": {"preset": "medium", "x264-params": "bframes=3:open-gop=1"}},
        {"quality": {"x264-params": "interlaced=1"}},
        {"codec": "libx265", "audio": (AudioTrack(codec="ac3"),)},
        {"codec": "mpeg2video", "audio": (AudioTrack(codec="mp2"),)},
    ],
    ids=repr,
)
def test_keyframes_say_all_of_a_transport_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], begin: float
) -> None:
    """Of one that begins between two of them, too, as recordings of broadcasts do."""
    path = tmp_path / "x.ts"
    content = clip_file(container="ts", frames=90, **fields).read_bytes()
    path.write_bytes(content[round(len(content) * begin) // 188 * 188 :])
    found = probe.examine(bytes(path))
    monkeypatch.setattr(probe, "open_options", lambda _start: OPEN_OPTIONS)
    assert found == probe.examine(bytes(path))
