"""Matroska and WebM files that are read without FFmpeg: the same must come of it as with, or nothing."""

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from stoat_ferret.errors import MediaError
from stoat_ferret.media import probe
from stoat_ferret.media.containers import matroska_reader
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import Source, opened
from tests.integration.test_media_damaged import CLIPS, otherwise
from tests.integration.test_media_headers import DOUBTFUL, PLAIN
from tests.matroska_files import (
    CLUSTER,
    INFO,
    SEGMENT,
    TAGS,
    TRACK,
    TRACKS,
    VIDEO,
    Tree,
    inside,
    number,
    put,
    taken_apart,
    write,
)
from tests.media_files import AudioTrack, SubtitleTrack, clip_file, samples_folder
from torture.mutators import mutate

SEED = 20_261_127
_ENGLISH, _TEXT = AudioTrack(language="eng", title="Hall"), SubtitleTrack(language="deu")
_RATES = (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(15, 2), 6, 12, 50, 120)
COMMON: tuple[dict[str, Any], ...] = (
    {"audio": (_ENGLISH, AudioTrack(channels=6, language="fra")), "subtitles": (_TEXT, SubtitleTrack())},
    {"chapters": ("one", "two", "drei"), "title": "A title", "tags": {"COMMENT": "été", "PART_NUMBER": "3"}},
    *({"rate": rate} for rate in _RATES),
    *({"rotation": degrees} for degrees in (90, 180, 270)),
    {"size": (162, 98), "sample_aspect_ratio": Fraction(64, 45)},
    {"cover": True},
    {"cover": True, "codec": "libx265", "subtitles": (_TEXT,)},
    *({"codec": "libx265", "hdr": hdr} for hdr in ("hlg", "hdr10")),
    {"codec": "libx265", "full_range": True, "audio": (AudioTrack(codec="ac3", channels=6),)},
    {"codec": "libx265", "audio": (AudioTrack(codec="flac", channels=2), AudioTrack(codec="pcm_s24le"))},
    {"codec": "libvpx", "audio": (AudioTrack(codec="libopus", channels=2),), "container": "webm"},
    {"codec": "libvpx-vp9", "audio": (AudioTrack(codec="libopus"),), "container": "webm", "subtitles": (_TEXT,)},
    {"quality": {"preset": "medium", "x264-params": "bframes=3"}, "audio": (_ENGLISH,)},
)
"""Clips that are read without FFmpeg."""


def read(path: Path) -> MediaInfo | None:
    """Give what comes of a file without FFmpeg."""
    with opened(bytes(path)) as source:
        return probe._from_own_reader(source)  # whether it is used is what is asked


def read_by_ffmpeg(path: Path) -> MediaInfo | str:
    """Give what comes of a file with FFmpeg: without its decoders if that is enough, as ever."""
    try:
        with opened(bytes(path)) as source:
            found = probe._from_elements(source)
    except (av.FFmpegError, MediaError):
        found = None
    try:
        return found or probe.examine(bytes(path))
    except MediaError as error:
        return type(error).__name__


@pytest.mark.parametrize("fields", COMMON, ids=repr)
def test_a_common_file_is_read_without_ffmpeg(fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """And FFmpeg, which is not opened then, would say the same."""
    path = clip_file(**{"container": "mkv", "frames": 30} | fields)
    by_ffmpeg = read_by_ffmpeg(path)
    monkeypatch.setattr(probe, "_from_elements", None)
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == by_ffmpeg


def test_any_clip_is_read_as_by_ffmpeg_or_not_at_all() -> None:
    """Most that FFmpeg needs no decoder for are."""
    both = [fields for fields in (*PLAIN, *DOUBTFUL) if fields.get("container") in ("mkv", "webm")]
    quick = 0
    for fields in both:
        path = clip_file(**fields)
        if (found := read(path)) is not None:
            quick += 1
            assert found == read_by_ffmpeg(path), fields
    assert quick >= 30


def test_other_projects_files_are_read_as_by_ffmpeg_or_not_at_all() -> None:
    """Damaged or with subtitles that are pictures, they are all left to it."""
    folder = samples_folder()
    paths = [path for kind in ("mkv", "webm") for path in sorted(folder.rglob(f"*.{kind}"))]
    assert len(paths) >= 7
    quick = {path.name: found for path in paths if (found := read(path)) is not None}
    assert quick == {path.name: read_by_ffmpeg(path) for path in paths if path.name in quick}
    assert quick.keys() == set()


def _real(value: float) -> bytes:
    return struct.pack(">d", value)


Change = tuple[str, int, Any]
"""Where an element is set or added, which, and its content."""


def _of_pictures(rng: random.Random) -> Iterator[Sequence[Change]]:
    frames = [41708333, 33366667, 33366666, 16683333, 20000000, *(int(10 ** rng.uniform(6, 8.4)) for _ in range(40))]
    yield from ([("picture", 0x23E383, number(frame))] for frame in frames)
    for width, height in ((853, 480), (1024, 576), (16, 9)):
        size: list[Change] = [("video", 0x54B0, number(width)), ("video", 0x54BA, number(height))]
        yield from ([*size, ("video", 0x54B2, number(unit))] for unit in (0, 3, 4))
    for interlaced in range(3):
        for fields in (0, 1, 2, 6, 9, 14, 7):
            yield [("video", 0x9A, number(interlaced)), ("video", 0x9D, number(fields))]
    for roll in (0.0, 90.0, -90.0, 180.0, 270.0, 45.0):
        yield [("video", 0x7670, [[0x7671, number(0)], [0x7675, _real(roll)]])]


def _of_colours(rng: random.Random) -> Iterator[Sequence[Change]]:
    for kind in (0x55B1, 0x55B9, 0x55BA, 0x55BB):
        yield from ([("video", 0x55B0, [[kind, number(value)]])] for value in range(0, 20, 3))
    for _ in range(12):
        points = [[0x55D1 + at, _real(rng.choice((rng.random(), 0.708, 0.17045, 0.0)))] for at in range(8)]
        light = [[0x55D9, _real(rng.choice((1000.0, 0.5)))], [0x55DA, _real(rng.choice((0.005, 0.0001, 1.0)))]]
        mastering = [0x55D0, [*points, *light][rng.randrange(2) :]]
        yield [("video", 0x55B0, [mastering, [0x55BC, number(1000)], [0x55BD, number(rng.choice((0, 400)))]])]


def _of_tracks() -> Iterator[Sequence[Change]]:
    for language in (b"", b"und", b"fre", b"pt-BR", b"de\0x", b"\xff"):
        yield from ([("sound", kind, language)] for kind in (0x22B59C, 0x22B59D))
    for flag in (0x88, 0x55AA, 0x55AB, 0x55AC, 0x55AD, 0x55AE, 0x55AF, 0xB9, 0x9C, 0x6DE7, 0x234E7A, 0x55EE, 0x56BB):
        for track in ("picture", "sound", "text"):
            yield from ([(track, flag, number(value))] for value in (0, 1))
    yield from ([("sound", 0x56AA, number(delay))] for delay in (500, 1_000_000, 6_500_000, 20_833_333, 80_000_000))


def _of_all(rng: random.Random) -> Iterator[Sequence[Change]]:
    yield from ([("info", 0x2AD7B1, number(scale))] for scale in (10**6, 500_000, 22_675, 1_000, 999, 2_000_000))
    dates = (0, 10**15, 662_688_000 * 10**9, -5)
    yield from ([("info", 0x4461, date.to_bytes(8, "big", signed=True))] for date in dates)
    yield from ([("tags", *_tag(rng)) for _ in range(rng.randrange(1, 4))] for _ in range(120))


def _apply(tree: Tree, change: Change) -> None:
    place, identity, content = change
    segment = inside(tree, SEGMENT)
    tracks = [part[1] for part in inside(segment, TRACKS) if part[0] == TRACK]
    if place == "tags":
        inside(segment, TAGS).append([identity, content])
    elif place == "info":
        put(inside(segment, INFO), identity, content)
    elif place == "video":
        put(inside(tracks[0], VIDEO), identity, content)
    else:
        put(tracks[("picture", "sound", "text").index(place)], identity, content)


def _tag(rng: random.Random) -> tuple[int, Tree]:
    target: Tree = []
    if rng.random() < 0.4:
        target.append([0x63C5, number(rng.choice((0, 1, 2, 77)))])
    if rng.random() < 0.3:
        target.append([0x63CA, rng.choice((b"MOVIE", b"", b"ALBUM"))])
    simple = [_simple(rng, 2) for _ in range(rng.randrange(4))]
    return 0x7373, [[0x63C0, target], *simple] if rng.random() < 0.8 else simple


def _simple(rng: random.Random, depth: int) -> list[Any]:
    names = (
        b"TITLE",
        b"title",
        b"Encoder",
        b"LEAD_PERFORMER",
        b"PART_NUMBER",
        b"track",
        b"LOCATION",
        b"\xc3\xa9",
        b"a=b",
    )
    parts: Tree = [[0x45A3, rng.choice(names)]]
    if rng.random() < 0.8:
        parts.append([0x4487, rng.choice((b"", b"v", b"10:00:00:00", b"\xff\xfe", b"a\0b"))])
    if rng.random() < 0.6:
        parts.append([0x447A, rng.choice((b"und", b"eng", b""))])
    if rng.random() < 0.5:
        parts.append([0x4484, number(rng.randrange(2))])
    if depth and rng.random() < 0.3:
        parts.append(_simple(rng, depth - 1))
    return [0x67C8, parts]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_whatever_the_elements_say_is_read_as_by_ffmpeg(codec: str, tmp_path: Path) -> None:
    """Rates, shapes, fields, colours, light, flags, languages, delays, dates, tags; some are left to it."""
    sound = AudioTrack(codec="libopus" if codec == "libvpx-vp9" else "aac")
    clip = clip_file(container="mkv", codec=codec, frames=30, audio=(sound,), subtitles=(_TEXT,))
    rng = random.Random(SEED)  # noqa: S311 - no secret
    path, quick, wrong = tmp_path / "changed.mkv", 0, []
    for changes in (*_of_pictures(rng), *_of_colours(rng), *_of_tracks(), *_of_all(rng)):
        tree = taken_apart(clip.read_bytes())
        for change in changes:
            _apply(tree, change)
        write(path, tree)
        if (found := read(path)) is not None:
            quick += 1
            by_ffmpeg = read_by_ffmpeg(path)
            if found != by_ffmpeg or found != _without_start_of_text(probe.examine(bytes(path)), found):
                wrong.append((changes, found, by_ffmpeg))
    assert wrong == []
    assert quick >= 200


def _without_start_of_text(whole: MediaInfo, found: MediaInfo) -> MediaInfo:
    """Leave out when subtitles begin, with decoders, where it is left out without."""
    said = [
        replace(stream, start_time=None, duration=None)
        if stream.kind == "subtitle" and ours.start_time is None
        else stream
        for stream, ours in zip(whole.streams, found.streams, strict=True)
    ]
    return replace(whole, streams=tuple(said))


@pytest.mark.parametrize("said", [[[0x55B1, 1]], [[0x55B1, 6], [0x55BA, 6], [0x55BB, 6]], [[0x55B9, 2]]], ids=repr)
def test_colours_of_which_container_and_vp9_do_not_agree(said: list[list[int]], tmp_path: Path) -> None:
    """Are those that FFmpeg takes, which is the container's; muxers translate what the stream says."""
    tree = taken_apart(clip_file(container="webm", codec="libvpx-vp9", frames=30).read_bytes())
    video = inside(tree, SEGMENT, TRACKS, TRACK, VIDEO)
    put(video, 0x55B0, [[kind, number(value)] for kind, value in said])
    path = tmp_path / "changed.webm"
    write(path, tree)
    assert read(path) is None
    with opened(bytes(path)) as source:
        assert probe.probe(bytes(path), source) == probe.probe(bytes(path))


def _targeted(data: bytes, rng: random.Random) -> bytes:
    """Damage a file where its headers are: before and in the first cluster, and at the end."""
    damaged, cluster = bytearray(data), data.find(CLUSTER.to_bytes(4, "big"))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = ((0, cluster), (cluster, min(len(data), cluster + 400)), (max(0, len(data) - 600), len(data)))
        at = min(rng.randrange(*rng.choice(places)), len(damaged) - 1)
        match rng.randrange(6):
            case 0 | 1:
                damaged[at] ^= 1 << rng.randrange(8)
            case 2:
                damaged[at] = rng.choice((0, 1, 0x40, 0x7F, 0x80, 0x81, 0xFF, rng.randrange(256)))
            case 3:
                del damaged[at : at + rng.randrange(1, 9)]
            case 4:
                damaged[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                other = rng.randrange(len(damaged))
                damaged[at : at + 20] = damaged[other : other + 20]
    return bytes(damaged)


def test_a_damaged_file_is_read_as_by_ffmpeg_or_not_at_all(tmp_path: Path) -> None:
    """Of some thousand mutants; a good part of them without it."""
    rng = random.Random(SEED)  # noqa: S311 - no secret
    fields = [{"container": name} | clip for name in ("mkv", "webm") for clip in CLIPS[name]]
    fields += [{"container": "mkv", "frames": 30} | clip for clip in COMMON[:2]]
    whole = [clip_file(**clip).read_bytes() for clip in fields]
    path, quick, wrong = tmp_path / "mutant.mkv", 0, []
    for count in range(1200):
        content = rng.choice(whole)
        path.write_bytes(_targeted(content, rng) if count % 4 else mutate(content, rng, whole)[0])
        if (found := read(path)) is not None:
            quick += 1
            by_ffmpeg = read_by_ffmpeg(path)
            if not isinstance(by_ffmpeg, MediaInfo) or otherwise(found, by_ffmpeg):
                wrong.append((count, found, by_ffmpeg))
    assert wrong == []
    assert quick >= 300


def test_a_file_cut_short_and_a_recording_are_left_to_ffmpeg(tmp_path: Path) -> None:
    """As lengths are not what they say, or are not said."""
    whole, path = clip_file(container="mkv", frames=30).read_bytes(), tmp_path / "x.mkv"
    path.write_bytes(whole[:-1])
    assert read(path) is None
    at = whole.index(SEGMENT.to_bytes(4, "big")) + 4
    path.write_bytes(whole[:at] + b"\x01" + b"\xff" * 7 + whole[at + 8 :])
    assert read(path) is None
    path.write_bytes(whole)
    assert read(path) is not None


def test_what_cannot_be_read_is_left_to_ffmpeg(tmp_path: Path) -> None:
    """Which then says why."""

    class Broken(Source):
        def part(self, offset: int, length: int) -> bytes:
            raise OSError(5, "Input/output error")

    path = clip_file(container="mkv", frames=30)
    with path.open("rb") as file:
        assert matroska_reader.read(Broken(file.fileno(), bytes(path))) is None
