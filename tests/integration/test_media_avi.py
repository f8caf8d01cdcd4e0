"""AVI files that are examined without FFmpeg: the same must come of it as with it, or nothing."""

import os
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.errors import StoatError
from stoat_ferret.media import probe
from stoat_ferret.media.codecs import visual
from stoat_ferret.media.containers import avi
from stoat_ferret.media.fingerprint import fingerprint
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import Source, opened
from tests.media_files import AudioTrack, clip_file, samples_folder
from torture.mutators import mutate

SEED = 20_261_127
_SOUND = (AudioTrack(codec="libmp3lame", channels=2),)
_RATES = (12, 15, 24, 25, 30, 50, 60, Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(60_000, 1001))
PLAIN: tuple[dict[str, Any], ...] = (
    *({"rate": rate} for rate in _RATES),
    *({"rate": rate, "audio": _SOUND} for rate in (24, 25, 30, Fraction(24_000, 1001), Fraction(30_000, 1001))),
    {"frames": 50},
    {"size": (640, 360), "frames": 200, "audio": _SOUND},  # its index covers enough of it to count bit rates
    {"audio": (AudioTrack(codec="libmp3lame", sample_rate=44100),)},
    {"size": (162, 98)},
    {"title": "A title", "tags": {"comment": "Nothing"}},
)
DOUBTFUL: tuple[dict[str, Any], ...] = (
    {"frames": 2},
    {"frames": 49},
    {"rate": 10},
    {"vfr": True},
    {"title": "été"},
    {"tags": {"artist": "Somebody"}},
    {"quality": {"bf": "2"}},
    {"quality": {"flags": "+ildct+ilme"}},
    {"sample_aspect_ratio": Fraction(4, 3)},
    {"codec": "libx264"},
    {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    {"audio": (AudioTrack(codec="pcm_s16le"),)},
    {"audio": (AudioTrack(codec="ac3"),)},
    {"audio": (AudioTrack(codec="libmp3lame", sample_rate=22050),)},
    {"audio": (AudioTrack(codec="libmp3lame", language="eng", title="Hall"),)},
)


def film(**fields: Any) -> Path:
    return clip_file(**{"container": "avi", "codec": "mpeg4", "frames": 75} | fields)


def alone(path: Path) -> MediaInfo | None:
    with opened(bytes(path)) as source:
        return avi.examine(source)


def agrees(path: Path, content: bytes) -> bool:
    """Tell whether a file was understood; what is understood has to be as FFmpeg says."""
    path.write_bytes(content)
    found = alone(path) if avi.may_be(content) else None
    if found is not None:
        try:
            assert found == probe.examine(bytes(path))
        except StoatError as error:
            pytest.fail(f"FFmpeg refuses it: {error}")
    return found is not None


@pytest.mark.parametrize("fields", PLAIN, ids=repr)
def test_the_headers_say_what_ffmpeg_says(fields: dict[str, Any]) -> None:
    """Each field."""
    path = film(**fields)
    assert avi.may_be(path.read_bytes()[:64])
    found = alone(path)
    assert found is not None
    assert found == probe.examine(bytes(path))


@pytest.mark.parametrize("fields", DOUBTFUL, ids=repr)
def test_where_they_do_not_ffmpeg_is_asked(fields: dict[str, Any]) -> None:
    """And whoever asks does not notice."""
    path = film(**fields)
    assert alone(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == probe.probe(bytes(path))


def test_real_files_are_the_same_both_ways(tmp_path: Path) -> None:
    """Of other projects."""
    for path in samples_folder().rglob("*.avi"):
        agrees(tmp_path / "x.avi", path.read_bytes())


def _patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    at = content.index(mark) + offset
    return content[:at] + value + content[at + len(value) :]


def test_what_stands_otherwise_in_a_header(tmp_path: Path) -> None:
    """Each is left to FFmpeg."""
    content = film(audio=_SOUND).read_bytes()
    assert agrees(tmp_path / "x.avi", content + b"JUNK\4\0\0\0abcd")
    for mark, offset, value in (
        (b"avih", 20, b"\x30"),  # the index has to be used
        (b"strh", 8, b"txts"),
        (b"strh", 36, b"\1"),  # it begins later
        (b"strh", 40, b"\1"),  # another number of pictures
        (b"strh", 52, b"\1"),  # samples of a size
        (b"strf", 8, b"\x29"),
        (b"strf", 12, b"\xff"),  # another width
        (b"strf", 24, b"H264"),
        (b"auds", 20, b"\4"),  # frames of another length
        (b"INFO", 4, b"IXXX"),
        (b"LIST", 0, b"LOST"),
        (b"movi", 4, b"07"),
        (b"idx1", 16, b"\5"),  # chunks elsewhere
        (b"idx1", 0, b"idx2"),
        (b"\0\0\1\xb0", 4, b"\x11"),  # another profile
        (b"\0\0\1\xb6", 4, b"\x40"),  # no key picture
        (b"Lavc", 0, b"DivX"),
        (b"RIFF", 4, b"\xff\xff\xff\x7f"),
    ):
        assert not agrees(tmp_path / "x.avi", _patched(content, mark, offset, value)), mark


def test_a_second_index(tmp_path: Path) -> None:
    """FFmpeg takes both."""
    content = film(size=(640, 360), frames=200, audio=_SOUND).read_bytes()
    assert not agrees(tmp_path / "x.avi", content + content[content.rindex(b"idx1") :])


@pytest.mark.parametrize("unit", [0xB0, 0x20])
def test_headers_of_which_one_is_lacking(unit: int) -> None:
    """Say nothing."""
    headers = {0xB0: b"\0\0\1\xb0\1", 0x00: b"\0\0\1\0", 0x20: b"\0\0\1\x20\0\xc4\x8d\x88\0\xcd\x0a\4\x16\x94\x43\0"}
    picture = b"\0\0\1\xb6\0"
    assert visual.mpeg4(b"".join(headers.values()) + picture) is not None
    assert visual.mpeg4(b"".join(part for kind, part in headers.items() if kind != unit) + picture) is None


def test_films_cut_short_and_joined(tmp_path: Path) -> None:
    """Anywhere: an index that is not all there is left to FFmpeg."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    content, other = film(audio=_SOUND).read_bytes(), film().read_bytes()
    assert not any(agrees(tmp_path / "x.avi", content[: rng.randrange(len(content))]) for _ in range(40))
    agrees(tmp_path / "x.avi", content + other)
    for _ in range(20):
        agrees(tmp_path / "x.avi", content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :])


def test_damaged_films(tmp_path: Path) -> None:
    """By chance, and of the kind that is meant to do harm."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    whole = [film(audio=_SOUND).read_bytes(), film(rate=Fraction(24_000, 1001)).read_bytes()]
    quick = 0
    for number in range(400):
        damaged = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 1, 3, 30))):
            damaged[rng.randrange(len(damaged) if number % 2 else 12_000)] ^= 1 << rng.randrange(8)
        quick += agrees(tmp_path / "x.avi", bytes(damaged) if number % 4 else mutate(whole[0], rng, whole)[0])
    assert quick > 80


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 12_000), st.booleans())
def test_of_arbitrary_bytes_nothing_is_raised(junk: bytes, at: int, alone: bool) -> None:
    """Whatever they are, and wherever they stand in a film."""
    content = film(audio=_SOUND).read_bytes()
    data = b"RIFF" + junk if alone else content[:at] + junk + content[at + len(junk) :]
    descriptor = os.memfd_create("arbitrary")
    try:
        os.write(descriptor, data)
        avi.examine(Source(descriptor, b"/x.avi"))
    finally:
        os.close(descriptor)
    visual.mpeg4(b"\0\0\1\xb0\1\0\0\1\x20" + junk + b"\0\0\1\xb6\0")
    visual.is_mp3(junk, 48_000, 2)


def test_a_file_that_cannot_be_read() -> None:
    """Is left to FFmpeg, which says why."""
    descriptor = os.open("/", os.O_RDONLY)
    try:
        assert avi.examine(Source(descriptor, b"/", 1000)) is None
    finally:
        os.close(descriptor)


def test_hardly_more_is_read_than_the_fingerprint_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bytes of the first key pictures, of a film whose index lies in its last 64 KiB."""
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    with opened(bytes(film(size=(640, 360), frames=200, audio=_SOUND))) as source:
        fingerprint(source)
        monkeypatch.setattr(os, "pread", counted)
        assert avi.examine(source) is not None
    assert sum(read) <= 2048


def test_a_later_key_picture_with_other_headers(tmp_path: Path) -> None:
    """FFmpeg believes it where it reads as far, and is asked."""
    content = bytearray(film(rate=Fraction(24_000, 1001)).read_bytes())
    second = content.index(b"\0\0\1\xb0", content.index(b"\0\0\1\xb0") + 4)
    content[second + 4] = 0x21
    assert not agrees(tmp_path / "x.avi", bytes(content))
