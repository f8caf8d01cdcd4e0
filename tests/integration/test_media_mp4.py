"""MP4 and QuickTime files that are read without FFmpeg: the same must come of it as with it, or nothing."""

import os
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.errors import MediaError
from stoat_ferret.media import probe
from stoat_ferret.media.containers import mp4
from stoat_ferret.media.fingerprint import fingerprint
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import Source, opened
from tests.media_files import AudioTrack, SubtitleTrack, clip_file, samples_folder
from torture.mutators import mutate

SEED = 20_261_127
_STEREO = (AudioTrack(channels=2),)
_REORDERED = {"preset": "medium", "x264-params": "bframes=3"}
_X265 = "log-level=none:pools=none:frame-threads=1"
READ: tuple[dict[str, Any], ...] = (
    {"frames": 30, "audio": _STEREO},
    {"frames": 30, "audio": _STEREO, "fast_start": False},
    {"frames": 30, "audio": _STEREO, "container": "mov"},
    *({"frames": count, "quality": _REORDERED, "container": name} for count in (4, 60) for name in ("mp4", "mov")),
    *({"frames": count, "audio": _STEREO} for count in (1, 2, 3)),
    *({"rotation": degrees, "container": name} for degrees in (90, 180, 270) for name in ("mp4", "mov")),
    *({"rate": rate, "frames": 20} for rate in (1, 24, 50, Fraction(24000, 1001), Fraction(60000, 1001))),
    {"sample_aspect_ratio": Fraction(4, 3)},
    {"quality": {"x264-params": "sar=12/11"}},
    {"quality": {"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709:range=pc"}},
    {"full_range": True},
    {"pixel_format": "yuvj420p", "full_range": True},
    *({"pixel_format": name} for name in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le")),
    {"size": (161, 97), "pixel_format": "yuv444p"},
    {"size": (162, 98)},
    {"hdr": "hlg"},
    *({"codec": "libx265", "hdr": hdr, "container": name} for hdr in (None, "hlg", "hdr10") for name in ("mp4", "mov")),
    {"codec": "libx265", "frames": 30, "quality": {"x265-params": f"{_X265}:bframes=3"}},
    {"codec": "libx265", "sample_aspect_ratio": Fraction(4, 3)},
    {"vfr": True, "frames": 40},
    {"vfr": True, "rate": Fraction(30000, 1001), "frames": 40},
    {"audio": (AudioTrack(sample_rate=44100, language="deu"), AudioTrack(channels=6, language="fra"))},
    {"title": "A title", "tags": {"comment": "été", "artist": "me", "date": "2020", "synopsis": "long"}},
    {"container": "mov", "title": "été", "tags": {"make": "Canon", "location": "+51.3714-000.1977/"}},
    {"tags": {"creation_time": "2024-01-02T03:04:05Z"}},
    *({"frames": 20, "quality": {"x264-params": said}} for said in ("slices=4", "keyint=1", "cqm=jvt", "ref=4")),
    {"frames": 20, "quality": {"profile": "baseline"}},
    {"frames": 20, "quality": {"x264-params": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500"}},
    {"frames": 60, "quality": {"preset": "medium", "x264-params": "bframes=3:open-gop=1:keyint=8"}},
    *(
        {"chapters": ("one", "été", "three"), "frames": 60, "audio": _STEREO, "container": name}
        for name in ("mp4", "mov")
    ),
    {"chapters": ("one", "two"), "frames": 60, "fast_start": False, "cover": True},
    {"cover": True, "audio": _STEREO, "frames": 30, "title": "covered"},
    {"audio": (AudioTrack(language="eng", title="Hall"),)},
    {"subtitles": (SubtitleTrack(language="fra"),)},
    {"codec": None, "audio": _STEREO, "cover": True, "frames": 30},
)
"""Clips of the common shapes."""
LEFT: tuple[dict[str, Any], ...] = (
    {"codec": "mpeg4"},
    {"codec": "libsvtav1"},
    {"hdr": "hdr10"},
    {"pixel_format": "gray"},
    {"quality": {"x264-params": "interlaced=1"}},
    {"quality": {"x264-params": "pic-struct=1"}},
    {"audio": (AudioTrack(sample_rate=24000),)},
    {"audio": (AudioTrack(codec="mp3"),)},
    {"subtitles": (SubtitleTrack(),), "container": "mov"},
    {"audio": (AudioTrack(title="été"),)},
    {"container": "mov", "tags": {"timecode": "10:00:00:00"}},
)
"""Clips that FFmpeg is asked about."""
READ_SAMPLES = {
    "internal_emulator_transformer_output_180_rotated.mp4", "video_180.mov", "input_3sec_rotation_90deg.mp4",
}  # fmt: skip


def by_itself(path: Path) -> MediaInfo | None:
    with opened(bytes(path)) as source:
        return mp4.read(source)


def with_ffmpeg(path: Path) -> MediaInfo | str:
    """Give what is said of the file where it is not read without."""
    try:
        with opened(bytes(path)) as source:
            found = probe._from_boxes(source)
        return found or probe.examine(bytes(path))
    except (MediaError, av.FFmpegError) as error:
        return type(error).__name__


@pytest.mark.parametrize("fields", READ, ids=repr)
def test_common_clips_are_read_as_ffmpeg_reads_them(fields: dict[str, Any]) -> None:
    """With its decoders, and without."""
    path = clip_file(**fields)
    found = by_itself(path)
    assert found is not None
    assert found == with_ffmpeg(path)
    assert found == probe.examine(bytes(path))


@pytest.mark.parametrize("fields", LEFT, ids=repr)
def test_others_are_left_to_ffmpeg(fields: dict[str, Any]) -> None:
    """And whoever asks does not notice."""
    path = clip_file(**fields)
    assert by_itself(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == probe.probe(bytes(path))


def test_ffmpeg_is_not_opened_for_a_common_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what makes it quick."""
    path = clip_file(audio=_STEREO)
    monkeypatch.setattr(av, "open", None)
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source).video_codec == "h264"


def test_real_files_are_read_as_ffmpeg_reads_them() -> None:
    """Or not at all."""
    read = set()
    for path in sorted(samples_folder().rglob("*")):
        if path.suffix.lower() in (".mp4", ".mov", ".m4v") and (found := by_itself(path)) is not None:
            read.add(path.name)
            assert found == with_ffmpeg(path), path
    assert read >= READ_SAMPLES


def _after(data: bytes, kind: bytes) -> int:
    """Give where the content of the first box of a type begins."""
    return data.index(kind) + 4


def _put(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def _grown(data: bytes, inner: bytes, *outer: bytes) -> bytes:
    """Put a box at the end of the last of some boxes that lie in one another, of a file with its index at the end."""
    place = data.rindex(outer[-1]) - 4
    end = place + int.from_bytes(data[place : place + 4], "big")
    for kind in outer:
        at = data.rindex(kind) - 4
        data = _put(data, at, (int.from_bytes(data[at : at + 4], "big") + len(inner)).to_bytes(4, "big"))
    return data[:end] + inner + data[end:]


def _edited(length: int, begin: int) -> Callable[[bytes], bytes]:
    """Play another part of the pictures: so many milliseconds, from a tick of the track on."""

    def edit(data: bytes) -> bytes:
        return _put(data, _after(data, b"elst") + 8, length.to_bytes(4, "big") + begin.to_bytes(4, "big"))

    return edit


def _long_mdat(data: bytes) -> bytes:
    """Write the length of the media data with 64 bits, in the place of an empty box before it."""
    at = data.index(b"mdat") - 4
    length = int.from_bytes(data[at : at + 4], "big") + 8
    return data[: at - 8] + b"\0\0\0\1mdat" + length.to_bytes(8, "big") + data[at + 8 :]


def _quicktime_tag(kind: bytes, text: str, code: int) -> bytes:
    content = text.encode()
    return _box(kind, len(content).to_bytes(2, "big") + code.to_bytes(2, "big") + content)


def _apple_keys(data: bytes) -> bytes:
    """Add what phones write: QuickTime's keys, with text and with a number."""
    keys = b"".join(_box(b"mdta", b"com.apple.quicktime." + name) for name in (b"make", b"x.35mm"))
    values = _box(b"\0\0\0\1", _box(b"data", b"\0\0\0\1\0\0\0\0Apple"))
    values += _box(b"\0\0\0\2", _box(b"data", b"\0\0\0\x15\0\0\0\0\xff\xfe"))
    handler = _box(b"hdlr", bytes(8) + b"mdta" + bytes(14))
    return _grown(
        data, _box(b"meta", handler + _box(b"keys", b"\0\0\0\0\0\0\0\2" + keys) + _box(b"ilst", values)), b"moov"
    )


EDITS: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "all": (_edited(1200, 0), True),
    "longer": (_edited(9000, 0), True),
    "the beginning": (_edited(400, 0), True),
    "the middle": (_edited(400, 4096), True),
    "from the second keyframe on": (_edited(9000, 12 * 512), True),
    "nothing": (_edited(0, 0), False),
    "before the beginning": (_edited(1200, 0xFFFFFFF0), False),
    "one picture": (_edited(20, 0), True),
    "a length of 64 bits": (_long_mdat, True),
    "free space": (lambda data: data + _box(b"free", bytes(100)), True),
    "rubbish at the end": (lambda data: data + b"rubbish", False),
    "a fragment": (lambda data: data + _box(b"moof", bytes(8)), False),
    "padding in the index": (lambda data: _grown(data, _box(b"free", bytes(20)), b"moov"), True),
    "an unknown box in the index": (lambda data: _grown(data, _box(b"abcd", bytes(20)), b"moov"), False),
    "an unknown box in a track": (lambda data: _grown(data, _box(b"abcd", bytes(20)), b"moov", b"trak"), False),
    "fragments to come": (lambda data: _grown(data, _box(b"mvex", bytes(20)), b"moov"), False),
    "keys": (_apple_keys, True),
    "a place": (lambda data: _grown(data, _quicktime_tag(b"\xa9xyz", "+1+2/", 0x15C7), b"moov", b"udta"), True),
    "a tag in German": (lambda data: _grown(data, _quicktime_tag(b"\xa9inf", "ä", 0x10B5), b"moov", b"udta"), True),
    "an old tag": (lambda data: _grown(data, _quicktime_tag(b"\xa9inf", "a", 0), b"moov", b"udta"), True),
    "an old tag with an accent": (
        lambda data: _grown(data, _quicktime_tag(b"\xa9inf", "ä", 0), b"moov", b"udta"),
        False,
    ),
    "a tag that nobody knows": (lambda data: _grown(data, _quicktime_tag(b"\xa9zzz", "a", 0), b"moov", b"udta"), True),
    "a duration that is not known": (lambda data: _put(data, _after(data, b"mdhd") + 16, b"\xff\xff\xff\xff"), False),
    "a mirrored picture": (lambda data: _put(data, _after(data, b"tkhd") + 40, b"\xff\xff\0\0"), False),
    "a track that is not to be played": (lambda data: _put(data, _after(data, b"tkhd") + 3, b"\2"), True),
    "a picture shown wider": (lambda data: _put(data, _after(data, b"tkhd") + 76, b"\0\xb4\0\0"), True),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("reordered", [False, True])
def test_what_other_programs_write(tmp_path: Path, name: str, reordered: bool) -> None:
    """Is read as FFmpeg reads it, or not at all."""
    fields = {"frames": 30, "audio": _STEREO, "fast_start": False, "quality": _REORDERED if reordered else {}}
    edit, read = EDITS[name]
    path = tmp_path / "x.mp4"
    path.write_bytes(edit(clip_file(**fields).read_bytes()))
    found = by_itself(path)
    if found is not None:
        assert found == with_ffmpeg(path)
    assert (found is not None) == read or reordered


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_damaged_files_are_read_as_ffmpeg_reads_them(container: str, tmp_path: Path) -> None:
    """Of some hundred mutants, not one is read otherwise; a good part is left to FFmpeg."""
    rng = random.Random(f"{SEED} {container}")  # noqa: S311 - no secret
    shapes = (
        {"frames": 30, "audio": _STEREO},
        {"codec": "libx265", "hdr": "hdr10"},
        {"quality": _REORDERED, "frames": 30},
    )
    whole = [clip_file(container=container, **fields).read_bytes() for fields in shapes]
    path, read, differences = tmp_path / f"mutant.{container}", 0, []
    for number in range(800):
        content = rng.choice(whole)
        content, steps = mutate(content, rng, whole) if number % 2 else (_touched(content, rng), ("touched",))
        path.write_bytes(content)
        if (found := by_itself(path)) is not None:
            read += 1
            if found != with_ffmpeg(path):
                differences.append((number, steps))
    assert differences == []
    assert read >= 100


def _touched(content: bytes, rng: random.Random) -> bytes:
    """Change a byte or a number in the index."""
    start = content.index(b"moov")
    end = start + int.from_bytes(content[start - 4 : start], "big") - 8
    return _put(
        content, rng.randrange(start, end), rng.choice((b"\0", b"\1", b"\xff", bytes(4), b"\xff" * 4, rng.randbytes(1)))
    )


def _read(content: bytes) -> MediaInfo | None:
    descriptor = os.memfd_create("film")
    try:
        os.write(descriptor, content)
        return mp4.read(Source(descriptor, b"/film"))
    finally:
        os.close(descriptor)


_KINDS = st.sampled_from(
    [
        *(b"moov", b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdia", b"mdhd", b"hdlr", b"minf", b"vmhd", b"dinf"),
        *(b"dref", b"stbl", b"stsd", b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"co64", b"udta", b"meta"),
        *(
            b"keys",
            b"ilst",
            b"chpl",
            b"avc1",
            b"avcC",
            b"mp4a",
            b"esds",
            b"colr",
            b"\xa9nam",
            b"data",
            b"mdat",
            b"free",
        ),
    ]
)
_TREES = st.recursive(
    st.binary(max_size=40) | st.integers(0, 40).map(bytes),
    lambda inner: st.lists(st.tuples(_KINDS, inner), max_size=8).map(
        lambda boxes: b"".join(_box(kind, content) for kind, content in boxes)
    ),
    max_leaves=40,
)


@given(content=_TREES)
@settings(max_examples=300, deadline=None)
def test_nothing_but_an_answer_comes_of_any_boxes(content: bytes) -> None:
    """Whatever lies in them."""
    assert _read(_box(b"ftyp", b"isom\0\0\0\0") + _box(b"mdat", bytes(8)) + content) is None


@given(content=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_nothing_but_an_answer_comes_of_any_bytes(content: bytes) -> None:
    """Of which nearly none are a film."""
    assert _read(content) is None


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_nothing_but_an_answer_comes_of_a_changed_index(data: st.DataObject) -> None:
    """Wherever it is changed."""
    content = clip_file(frames=30, audio=_STEREO, fast_start=False).read_bytes()
    start = content.index(b"moov")
    for _ in range(data.draw(st.integers(1, 4))):
        new = data.draw(st.binary(min_size=1, max_size=8))
        content = _put(content, data.draw(st.integers(start, len(content) - 9)), new)
    found = _read(content)
    assert found is None or isinstance(found, MediaInfo)


@pytest.mark.parametrize("fields", [{"fast_start": True}, {"fast_start": False}, {"codec": "libx265"}], ids=repr)
def test_no_more_is_read_than_ffmpeg_would(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
    """Of a film of more than the few bytes that are read of any file."""
    path = clip_file(size=(640, 360), frames=40, quality={"qp": "2"}, audio=_STEREO, **fields)
    assert path.stat().st_size > 250_000
    read: list[int] = []
    real = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        data = real(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    amounts = []
    for way in (mp4.read, probe._from_boxes):
        with opened(bytes(path)) as source:
            fingerprint(source)
            read.clear()
            assert way(source) is not None
            amounts.append((len(read), sum(read)))
    ours, theirs = amounts
    assert ours[0] <= theirs[0]
    assert ours[1] <= min(theirs[1], 16_384)
