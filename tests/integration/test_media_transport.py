"""MPEG transport streams that are examined without FFmpeg: the same must come of it as with it, or nothing."""

import os
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.errors import StoatError
from stoat_ferret.media import probe, timing
from stoat_ferret.media.containers import transport
from stoat_ferret.media.containers.packetized import PACKET
from stoat_ferret.media.fingerprint import fingerprint
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import Source, opened
from tests.media_files import AudioTrack, clip_file, samples_folder
from torture.mutators import mutate

SEED = 20_261_127
_SOUND = (AudioTrack(channels=2),)
_REORDERED = {"preset": "medium", "x264-params": "bframes=3"}
_RATES = (24, 25, 30, 50, 60, Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(60_000, 1001))
_LONG: dict[str, Any] = {"size": (640, 360), "frames": 200, "quality": {"qp": "16"}}
"""Of more than FFmpeg reads at either end."""
PLAIN: tuple[dict[str, Any], ...] = (
    *({"rate": rate, "audio": (AudioTrack(),)} for rate in _RATES if rate != 24),
    *({"rate": rate, "quality": _REORDERED, "audio": _SOUND} for rate in _RATES),
    {"rate": 24},
    {"rate": 12},
    {"rate": 100, "audio": _SOUND},
    {"frames": 23},
    _LONG | {"audio": _SOUND},
    {"audio": (AudioTrack(language="eng", sample_rate=44100), AudioTrack(language="fra", hertz=220.0))},
    {"quality": {"preset": "medium", "x264-params": "bframes=3:open-gop=1"}, "audio": _SOUND},
    {"quality": {"preset": "medium", "x264-params": "bframes=8:b-pyramid=strict"}},
    {"quality": {"x264-params": "sar=12/11"}},
    {"quality": {"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709:range=pc"}},
    {"quality": {"x264-params": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500"}},
    {"quality": {"x264-params": "keyint=1"}, "audio": _SOUND},
    {"size": (162, 98)},
    {"size": (1280, 720), "quality": {"qp": "4"}, "audio": _SOUND},
    {"pixel_format": "yuv420p10le"},
    {"pixel_format": "yuv422p"},
    {"full_range": True},
    {"hdr": "hlg"},
    {"title": "A title", "tags": {"comment": "été"}},
)
"""Clips of which the packets say enough."""
DOUBTFUL: tuple[dict[str, Any], ...] = (
    {"frames": 20},
    {"rate": 7},
    {"rate": Fraction(24_975, 1000)},
    {"vfr": True},
    {"hdr": "hdr10"},
    {"pixel_format": "yuv444p"},
    {"quality": {"x264-params": "interlaced=1"}},
    {"quality": {"x264-params": "pic-struct=1"}},
    {"audio": (AudioTrack(sample_rate=24000),)},
    {"audio": (AudioTrack(channels=6),)},
    {"audio": (AudioTrack(codec="ac3"),)},
    {"audio": (AudioTrack(codec="mp2"),)},
    {"codec": "libx265"},
    {"codec": "mpeg2video"},
    {"rate": 24, "frames": 250, "audio": _SOUND},  # its sound begins before zero
)
"""Clips of which they do not."""


def stream(**fields: Any) -> Path:
    return clip_file(**{"container": "ts", "frames": 90} | fields)


def alone(path: Path) -> MediaInfo | None:
    with opened(bytes(path)) as source:
        return transport.examine(source)


def through_ffmpeg(path: Path) -> MediaInfo | str:
    try:
        return probe.examine(bytes(path))
    except StoatError as error:
        return type(error).__name__


def agrees(path: Path, content: bytes) -> bool:
    """Tell whether a file was understood; what is understood has to be as FFmpeg says."""
    path.write_bytes(content)
    found = alone(path)
    if found is not None:
        assert found == through_ffmpeg(path)
    return found is not None


@pytest.mark.parametrize("fields", PLAIN, ids=repr)
def test_the_packets_say_what_ffmpeg_says(fields: dict[str, Any]) -> None:
    """Of what nearly all people have; each field."""
    path = stream(**fields)
    assert transport.may_be(path.read_bytes())
    assert alone(path) == probe.examine(bytes(path))


@pytest.mark.parametrize("fields", DOUBTFUL, ids=repr)
def test_where_they_do_not_ffmpeg_is_asked(fields: dict[str, Any]) -> None:
    """And whoever asks does not notice."""
    path = stream(**fields)
    assert alone(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == probe.probe(bytes(path))


def test_real_files_are_the_same_both_ways(tmp_path: Path) -> None:
    """Of other projects."""
    for path in samples_folder().rglob("*.ts"):
        agrees(tmp_path / "x.ts", path.read_bytes())


def test_streams_cut_short(tmp_path: Path) -> None:
    """Anywhere, also within a packet."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    content = stream(**_LONG, audio=_SOUND).read_bytes()
    lengths = [rng.randrange(len(content)) for _ in range(60)]
    assert sum(agrees(tmp_path / "x.ts", content[:length]) for length in lengths) > 30


def test_streams_that_begin_anywhere(tmp_path: Path) -> None:
    """As recordings of broadcasts do."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    content = stream(frames=90, audio=_SOUND).read_bytes()
    for _ in range(40):
        agrees(tmp_path / "x.ts", content[rng.randrange(len(content) // PACKET) * PACKET :])
    assert not agrees(tmp_path / "x.ts", content[100:])


def test_streams_one_after_the_other(tmp_path: Path) -> None:
    """Joined as people join them, and at any packet; the same film twice, and others."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    first = stream(**_LONG, audio=_SOUND).read_bytes()
    for other in (first, stream(quality=_REORDERED, audio=_SOUND).read_bytes(), stream(rate=30).read_bytes()):
        agrees(tmp_path / "x.ts", first + other)
        for _ in range(10):
            cut, begin = (rng.randrange(len(part) // PACKET) * PACKET for part in (first, other))
            agrees(tmp_path / "x.ts", first[:cut] + other[begin:])


def _scratch(content: bytes, rng: random.Random) -> bytes:
    """Damage a few bytes, as a bad disk or a bad aerial does; half of the time near the beginning."""
    damaged = bytearray(content)
    place = rng.choice((len(damaged), 20_000))
    for _ in range(rng.choice((1, 1, 3, 30))):
        damaged[rng.randrange(min(place, len(damaged)))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _lose(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) // PACKET) * PACKET
    return content[:at] + content[at + PACKET * rng.choice((1, 2, 10, 100)) :]


def _blank(content: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(content)), rng.choice((1, 100, 5000))
    return content[:at] + bytes(min(length, len(content) - at)) + content[at + length :]


def test_a_time_stamp_that_is_far_off(tmp_path: Path) -> None:
    """Near the end; FFmpeg takes it for a new beginning."""
    content = bytearray(stream(audio=_SOUND).read_bytes())
    header = content.rindex(b"\0\0\1\xe0")
    content[header + 9] ^= 0x02
    assert not agrees(tmp_path / "x.ts", bytes(content))


@pytest.mark.parametrize("damage", [_scratch, _lose, _blank])
def test_damaged_streams(damage: Callable[[bytes, random.Random], bytes], tmp_path: Path) -> None:
    """FFmpeg says the same of them, or is asked."""
    rng = random.Random(f"{SEED} {damage.__name__}")  # noqa: S311 - no secret
    whole = [stream(audio=_SOUND).read_bytes(), stream(quality=_REORDERED, audio=_SOUND).read_bytes()]
    assert sum(agrees(tmp_path / "x.ts", damage(rng.choice(whole), rng)) for _ in range(150)) > 30


def test_mutants(tmp_path: Path) -> None:
    """Of the kind that is meant to do harm."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    whole = [stream(audio=_SOUND).read_bytes(), stream(rate=Fraction(24_000, 1001)).read_bytes()]
    assert sum(agrees(tmp_path / "x.ts", mutate(rng.choice(whole), rng, whole)[0]) for _ in range(200)) > 10


def test_a_stream_that_grows_while_it_is_examined() -> None:
    """Is as long as it was at first, for both."""
    content = stream(**_LONG, audio=_SOUND).read_bytes()
    descriptor = os.memfd_create("growing")
    try:
        os.write(descriptor, content)
        path = f"/proc/self/fd/{descriptor}".encode()
        with opened(path) as source:
            os.write(descriptor, content)
            found = transport.examine(source)
            assert found is not None
            with probe.open_media(path, source) as container:
                assert found.bit_rate == container.bit_rate
                assert found.duration == timing.seconds(container.duration, timing.MICROSECONDS)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("fields", [{}, {"size": (1280, 720), "quality": {"qp": "4"}}], ids=repr)
def test_no_more_is_read_than_through_ffmpeg(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor more often."""
    path = stream(**_LONG | fields, audio=_SOUND)
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        data = pread(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    totals = []
    for examine in (_by_packets, _through_source):
        with opened(bytes(path)) as source:
            fingerprint(source)
            read.clear()
            assert examine(source)
        totals.append((sum(read), len(read)))
    assert totals[0][0] <= totals[1][0]
    assert totals[0][1] <= totals[1][1]


def _by_packets(source: Source) -> bool:
    return transport.examine(source) is not None


def _through_source(source: Source) -> bool:
    with probe.open_media(os.fsencode(source.name), source) as container:
        return bool(container.duration)
