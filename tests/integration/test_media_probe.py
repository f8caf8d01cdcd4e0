"""Real files are examined: our own clips, broken ones, hostile ones, and those of other projects."""

import errno
import json
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from pydantic import TypeAdapter

from stoat_ferret.errors import (
    IncompleteFileError,
    MediaError,
    NotMediaError,
    NoVideoStreamError,
    UnreadableFileError,
    UnsupportedMediaLibraryError,
)
from stoat_ferret.media import probe as probe_module
from stoat_ferret.media.frames import thumbnail
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.probe import decode_frame, examine, open_media, probe, require_safe_versions
from stoat_ferret.media.source import SHORTEST_READ, opened
from tests.media_files import (
    AudioTrack,
    SubtitleTrack,
    box,
    clip_file,
    place_clip,
    samples_folder,
    stream_without_picture,
    truncate,
)
from tests.sample_differences import OPENED_OTHERWISE, known_differences
from tools.agreement import compare, document_of_row


def probed(**fields: Any) -> MediaInfo:
    return probe(bytes(clip_file(**fields)))


def test_an_ordinary_clip() -> None:
    """Everything a library shows of a file is there."""
    info = probed(
        frames=50,
        audio=(AudioTrack(language="eng"), AudioTrack(language="deu", channels=2)),
        subtitles=(SubtitleTrack(language="fra"),),
        chapters=("One", "Two"),
        title="A title",
        tags={"creation_time": "2024-05-06T07:08:09Z"},
    )
    assert info.container == "mov,mp4,m4a,3gp,3g2,mj2"
    assert info.duration == 2.0
    assert (info.width, info.height, info.display_width, info.display_height) == (160, 96, 160, 96)
    assert (info.video_codec, info.pixel_format, info.frame_rate, info.frame_rate_float) == (
        "h264", "yuv420p", "25/1", 25.0,
    )  # fmt: skip
    assert (info.rotation, info.vfr, info.hdr) == (0, False, "sdr")
    assert (info.audio_codec, info.audio_channels) == ("aac", 1)
    assert info.created_at_in_camera == "2024-05-06T07:08:09Z"
    assert info.tags["title"] == "A title"
    assert [(chapter.title, chapter.start, chapter.end) for chapter in info.chapters] == [
        ("One", 0.0, 1.0), ("Two", 1.0, 2.0),
    ]  # fmt: skip
    assert [stream.language for stream in info.streams[1:4]] == ["eng", "deu", "fra"]
    assert info.streams[2].channel_layout == "stereo"
    assert info.bit_rate is not None
    assert TypeAdapter(MediaInfo).validate_json(json.dumps(info.to_json()), strict=True) == info


@pytest.mark.parametrize(
    ("fields", "container", "codec"),
    [
        ({"container": "mkv"}, "matroska,webm", "h264"),
        ({"container": "mov", "fast_start": False}, "mov,mp4,m4a,3gp,3g2,mj2", "h264"),
        ({"container": "webm", "codec": "libvpx-vp9"}, "matroska,webm", "vp9"),
        ({"container": "avi", "codec": "mpeg4"}, "avi", "mpeg4"),
        ({"container": "avi", "codec": "mjpeg", "pixel_format": "yuvj420p"}, "avi", "mjpeg"),
        ({"container": "ts"}, "mpegts", "h264"),
        ({"codec": "libsvtav1"}, "mov,mp4,m4a,3gp,3g2,mj2", "av1"),
        ({"codec": "libx265"}, "mov,mp4,m4a,3gp,3g2,mj2", "hevc"),
    ],
)
def test_containers_and_codecs(fields: dict[str, Any], container: str, codec: str) -> None:
    """By ffprobe's names, not by the decoder's (av1, not libdav1d)."""
    info = probed(**fields)
    assert (info.container, info.video_codec) == (container, codec)
    assert (info.width, info.height) == (160, 96)
    assert info.created_at_in_camera is None


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_phone_held_upright(rotation: int) -> None:
    """The rotation is found without decoding, and the shown size follows it."""
    info = probed(rotation=rotation)
    assert info.rotation == info.streams[0].rotation == rotation
    assert (info.width, info.height) == (160, 96)
    assert (info.display_width, info.display_height) == ((96, 160) if rotation != 180 else (160, 96))


def test_samples_that_are_not_square() -> None:
    """Width as shown is stretched."""
    info = probed(sample_aspect_ratio=Fraction(16, 15))
    assert info.streams[0].sample_aspect_ratio == "16:15"
    assert (info.display_width, info.display_height) == (171, 96)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("hdr", ["hdr10", "hlg"])
def test_high_dynamic_range(container: str, hdr: str) -> None:
    """Told from the transfer function, and from what comes with a frame."""
    info = probed(container=container, codec="libx265", hdr=hdr)
    assert info.hdr == hdr
    assert info.streams[0].color_primaries == "bt2020"
    assert info.streams[0].color_space == "bt2020nc"


def test_uneven_frames() -> None:
    """The index of an MP4 file shows them; a Matroska file has none, so that is null."""
    assert probed(frames=30, vfr=True).vfr is True
    assert probed(frames=30, vfr=True, container="mkv").vfr is None
    assert probed(container="avi", codec="mpeg4").vfr is False


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_cover_art_is_no_moving_picture(container: str) -> None:
    """The film's own fields come from the film."""
    info = probed(container=container, cover=True)
    assert [stream.attached_picture for stream in info.streams if stream.kind == "video"] == [False, True]
    assert info.video_codec == "h264"


@pytest.mark.parametrize(
    "name",
    [
        b"a\nb.mp4",
        b"-y.mp4",
        b"%03d.mp4",
        b"http:x.mp4",
        b"file:y.mp4",
        b"concat:a|b.mp4",
        b"caf\xe9 \xff.mp4",
        b"x" * 251 + b".mp4",
    ],
)
def test_names_are_bytes(tmp_path: Path, name: bytes) -> None:
    """Whatever a name holds, it is that file that is opened."""
    path = bytes(tmp_path) + b"/" + name
    place_clip(path)
    assert probe(path).width == 160


def test_a_relative_path_is_refused() -> None:
    """FFmpeg would take `tcp:127.0.0.1:80` for an address."""
    with pytest.raises(ValueError, match="not absolute"):
        probe(b"tcp:127.0.0.1:80")


def test_a_playlist_named_mp4_opens_nothing(tmp_path: Path) -> None:
    """The file it names, a perfectly good one, is not touched."""
    canary = tmp_path / "canary.ts"
    place_clip(canary, container="ts")
    os.utime(canary, (1, 1))
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{canary}\n#EXT-X-ENDLIST\n")
    with pytest.raises(NotMediaError):
        probe(bytes(playlist))
    script = tmp_path / "script.avi"
    script.write_text("ffconcat version 1.0\nfile canary.ts\n")
    with pytest.raises(NotMediaError):
        probe(bytes(script))


def test_garbage_is_not_media(tmp_path: Path) -> None:
    """And the message says so in a sentence."""
    path = tmp_path / "garbage.mp4"
    path.write_bytes(bytes(range(7, 250)) * 50)
    with pytest.raises(NotMediaError, match="not a video"):
        probe(bytes(path))


def test_an_empty_file_gets_its_own_message(tmp_path: Path) -> None:
    """Zero bytes are what a failed copy leaves."""
    path = tmp_path / "empty.mkv"
    path.touch()
    with pytest.raises(IncompleteFileError, match=r"empty \(0 bytes\)"):
        probe(bytes(path))


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"<!doctype html><title>404 Not Found</title>", NotMediaError, "web page"),
        (b"Access denied.\n" * 10_000, NotMediaError, "text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), NotMediaError, "PNG picture"),
        (b"PK\3\4" + bytes(100), NotMediaError, "Unpack"),
        (bytes(1_000_000), IncompleteFileError, "zero bytes"),
        (box(b"styp", b"msdh") + box(b"moof", bytes(8)) + box(b"mdat", bytes(100)), IncompleteFileError, "segment"),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_what_is_no_video_is_called_what_it_is(
    tmp_path: Path, content: bytes, kind: type[MediaError], said: str, ending: str
) -> None:
    """Whatever its name says."""
    path = tmp_path / f"film.{ending}"
    path.write_bytes(content)
    with pytest.raises(kind, match=said):
        probe(bytes(path))


def test_a_cut_off_mp4_file_lacks_its_index(tmp_path: Path) -> None:
    """With the index at the end, a cut-off copy has none."""
    path = tmp_path / "cut.mp4"
    place_clip(path, fast_start=False)
    truncate(path, 0.5)
    with pytest.raises(IncompleteFileError, match="'moov'"):
        probe(bytes(path))


def test_a_matroska_file_cut_off_in_its_header_is_incomplete(tmp_path: Path) -> None:
    """FFmpeg calls that an input/output error, as if the disk were to blame and the file might be well next time."""
    path = tmp_path / "cut.mkv"
    whole = clip_file(container="mkv").read_bytes()
    for length in range(60, 400, 20):
        path.write_bytes(whole[:length])
        with pytest.raises(IncompleteFileError, match="ends before"):
            probe(bytes(path))


@pytest.mark.parametrize("fields", [{"container": "mkv"}, {"container": "ts"}, {"fast_start": True}])
def test_a_cut_off_file_that_still_opens_is_a_video(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Its first part can be watched."""
    path = tmp_path / "cut"
    place_clip(path, frames=50, **fields)
    truncate(path, 0.7)
    assert probe(bytes(path)).width == 160


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    """With or without cover art."""
    path = tmp_path / "sound.m4a"
    stream_without_picture(path)
    with pytest.raises(NoVideoStreamError, match="no picture stream"):
        probe(bytes(path))
    covered = clip_file(container="m4a", codec=None, audio=(AudioTrack(),), cover=True)
    with pytest.raises(NoVideoStreamError, match="cover art"):
        probe(bytes(covered))
    wav = clip_file(container="wav", codec=None, audio=(AudioTrack(codec="pcm_s16le"),))
    with pytest.raises(NoVideoStreamError):
        probe(bytes(wav))


def test_a_file_that_is_gone_may_be_back(tmp_path: Path) -> None:
    """A passing failure."""
    with pytest.raises(UnreadableFileError) as caught:
        probe(bytes(tmp_path / "nothing.mp4"))
    assert caught.value.passing


def test_what_a_bad_disk_says_is_passing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EIO at any place, whether FFmpeg could do without what was there or not; and a file that vanishes meanwhile."""
    path = tmp_path / "x.mp4"
    place_clip(path, fast_start=False, size=(640, 360), frames=75)
    real = os.pread
    assert path.stat().st_size > 2 * SHORTEST_READ
    for bad in (0, path.stat().st_size - 1):

        def fail(descriptor: int, length: int, offset: int, bad: int = bad) -> bytes:
            if offset <= bad < offset + length:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, length, offset)

        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(UnreadableFileError, match="Input/output"):
            probe(bytes(path))
        with opened(bytes(path)) as source, pytest.raises(UnreadableFileError, match="Input/output"):
            probe(bytes(path), source)
    monkeypatch.undo()
    path.write_bytes(b"no film at all\0")
    with opened(bytes(path)) as source:
        path.unlink()
        with pytest.raises(UnreadableFileError):
            probe(bytes(path), source)


@pytest.mark.parametrize(
    ("pyav", "ffmpeg", "safe"),
    [
        ("18.1.0", "8.1.2", True),
        ("19.0", "n8.2-3-gabcdef", True),
        ("18.1.0", "N-120000-gabcdef", True),
        ("18.0.9", "8.1.2", False),
        ("18.1.0", "8.1.1", False),
        ("18.1.0", "8.1", False),
        ("15.1.0", "7.1.5", False),
    ],
)
def test_old_libraries_are_refused(monkeypatch: pytest.MonkeyPatch, pyav: str, ffmpeg: str, safe: bool) -> None:
    """They crash on real files, or are known to be open to attack."""
    require_safe_versions()
    monkeypatch.setattr(av, "__version__", pyav)
    monkeypatch.setattr(av, "ffmpeg_version_info", ffmpeg)
    if safe:
        require_safe_versions()
    else:
        with pytest.raises(UnsupportedMediaLibraryError, match="not safe"):
            require_safe_versions()


def test_side_data_that_pyav_does_not_know_leaves_the_range_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises on types 28 and 29; HDR10 and HDR10+ cannot be told apart then."""

    def fail(*_args: object) -> None:
        raise ValueError("28 is not a valid Type")

    monkeypatch.setattr(probe_module, "decode_frame", fail)
    assert probed(codec="libx265", hdr="hdr10").hdr is None
    monkeypatch.setattr(probe_module, "decode_frame", lambda *_args: None)
    assert probed(codec="libx265", hdr="hdr10").hdr is None


def test_a_codec_tag_that_is_no_text_is_none() -> None:
    """AAC in an AVI file has the tag 0xFF, at which PyAV raises; the film is one all the same."""
    info = probed(container="avi", codec="mpeg4", audio=(AudioTrack(),))
    assert [(stream.codec, stream.codec_tag) for stream in info.streams] == [("mpeg4", "FMP4"), ("aac", None)]


def test_a_stream_that_shows_itself_late_is_passed_over(tmp_path: Path) -> None:
    """An MPEG program stream has no list of its streams; at its end PyAV stumbles over one that came while reading."""
    path = tmp_path / "late.ps"
    sound = (AudioTrack(codec="mp2"),)
    place_clip(
        path, container="ps", codec="mpeg2video", size=(320, 192), frames=300, key_interval=300, audio=sound,
        quality={"qmin": "2", "qmax": "2"},
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    for found in re.finditer(b"\0\0\1\xc0", bytes(content)):
        if not 0.7 <= found.start() / len(content) <= 0.75:
            content[found.start() + 3] = 0xBE  # sound becomes padding
    path.write_bytes(content)
    with open_media(bytes(path)) as container:
        assert len(container.streams) == 1
        container.seek(8_100_000)
        assert decode_frame(container, container.streams.video[0]) is None
    assert thumbnail(bytes(path), 160, "jpeg").startswith(b"\xff\xd8")


@pytest.mark.samples
def test_real_files_agree_with_ffprobe_in_every_field() -> None:
    """But for those that are listed, with what is said instead and why."""
    folder = samples_folder()
    problems = []
    for line in (folder / "EXPECTED.jsonl").read_text().splitlines():
        expected = json.loads(line)
        sample = expected["path"]
        try:
            info = examine(bytes(folder / sample))
        except MediaError as error:
            if expected["opens"] != (sample in OPENED_OTHERWISE):
                problems.append((sample, error.message))
            continue
        if not expected["opens"]:
            if sample not in OPENED_OTHERWISE:
                problems.append((sample, "opened"))
            continue
        found = {
            (comparison.field.name, comparison.index): comparison.ours
            for comparison in compare(info, document_of_row(expected))
            if comparison.verdict != "equal"
        }
        if found != (known := known_differences(sample)):
            problems.append((sample, f"{found}, not {known}"))
    assert problems == []


@pytest.mark.parametrize("of_stream", [True, False], ids=["stream", "file"])
@pytest.mark.parametrize(
    "key",
    [
        "DOVI configuration record",
        "x\n    Side data:\n      Display Matrix: rotation of 90.00 degrees\n      ",
        "x\n  Stream #0:0: Video: h264\n    Side data:\n      DOVI configuration record: version\n      ",
    ],
)
def test_tags_say_nothing_of_the_picture(tmp_path: Path, key: str, of_stream: bool) -> None:
    """Anybody can write them, and FFmpeg prints them beside what it has found out."""
    path, placeholder = tmp_path / "x.mkv", "K" * len(key)
    with av.open(str(clip_file(container="mkv"))) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams[0])
        (stream.metadata if of_stream else copy.metadata)[placeholder] = "see Display Matrix: rotation of 90.00 degrees"
        for packet in source.demux(source.streams[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), key.encode()))
    found = probe(bytes(path))
    assert found.hdr == "sdr"
    assert found.rotation in (0, None)
    assert found.streams[0].rotation in (0, None)


def test_a_language_says_nothing_of_the_picture(tmp_path: Path) -> None:
    """Matroska's may be any text, and FFmpeg prints it as it is."""
    path = tmp_path / "x.mkv"
    with av.open(str(clip_file(container="mkv"))) as source, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(source.streams[0])
        stream.metadata["language"] = (
            "eng): Video: h264\n    Side data:\n      Display Matrix: rotation of 90.00 degrees\n"
        )
        for packet in source.demux(source.streams[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert probe(bytes(path)).rotation is None
