"""Files that look like Matroska, of any kind: read or refused, soon, and nothing else."""

import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoat_ferret.media.containers import matroska_reader
from stoat_ferret.media.source import Source
from tests.matroska_files import CLUSTER, INFO, SEGMENT, TAGS, TRACK, TRACKS, VIDEO, Tree, element, number

_HEADER = element(0x1A45DFA3, [[0x4282, b"matroska"]])
_AUDIO, _CHAPTERS, _ATTACHMENTS, _SEEK_HEAD = 0xE1, 0x1043A770, 0x1941A469, 0x114D9B74
_KNOWN = (
    INFO, TRACKS, TRACK, VIDEO, _AUDIO, CLUSTER, TAGS, _CHAPTERS, _ATTACHMENTS, _SEEK_HEAD, 0x1C53BB6B, 0x4DBB, 0x53AB,
    0x53AC, 0x7373, 0x63C0, 0x67C8, 0x45A3, 0x4487, 0x45B9, 0xB6, 0x61A7, 0x466E, 0x4660, 0x465C, 0xE7, 0xA3, 0xA0,
    0xA1, 0xBB, 0xB3, 0xD7, 0x83, 0x86, 0x63A2, 0x23E383, 0xB0, 0xBA, 0x55B0, 0xB5, 0x9F, 0x2AD7B1, 0x4489, 0xEC, 0xBF,
)  # fmt: skip
_CODECS = (b"V_VP9", b"V_VP8", b"V_MPEG4/ISO/AVC", b"A_OPUS", b"A_AC3", b"A_PCM/INT/LIT", b"A_FLAC", b"S_TEXT/UTF8")


def _written(value: float) -> bytes:
    return struct.pack(">d", value)


leaves = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(_CODECS),
    st.integers(0, 1 << 40).map(number),
    st.sampled_from((0.0, 1.0, 48000.0, 1e300, float("nan"))).map(_written),
)
trees: st.SearchStrategy[Any] = st.recursive(
    leaves, lambda inner: st.lists(st.tuples(st.sampled_from(_KNOWN), inner).map(list), max_size=6), max_leaves=30
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "x.mkv"


def read(place: Path, content: bytes) -> object:
    place.write_bytes(content)
    descriptor = os.open(place, os.O_RDONLY)
    began = time.process_time()
    try:
        return matroska_reader.read(Source(descriptor, bytes(place)))
    finally:
        os.close(descriptor)
        assert time.process_time() - began < 2.0  # a bound, not a speed


def film(*, picture: Tree | None = None, block: bytes = b"\x81\0\0\x80" + bytes(20), duration: bytes = b"") -> bytes:
    """Give a file of one picture in VP9, which is refused as its first frame is none, or another."""
    info: Tree = [[0x4489, duration or _written(1000.0)]]
    track: Tree = [[0xD7, b"\1"], [0x83, b"\1"], [0x86, b"V_VP9"], [0x23E383, number(40_000_000)]]
    track.append([VIDEO, picture or [[0xB0, number(64)], [0xBA, number(32)]]])
    return _HEADER + element(
        SEGMENT, [[INFO, info], [TRACKS, [[TRACK, track]]], [CLUSTER, [[0xE7, b"\0"], [0xA3, block]]]]
    )


VP9_FRAME = b"\x82\x49\x83\x42\x00\x03\xf0\x01\xf0" + bytes(20)
"""A keyframe's beginning: 64 by 32 pixels."""


def test_a_small_film_is_read(place: Path) -> None:
    """With what a keyframe says of it."""
    found = matroska_reader_read(place, film(block=b"\x81\0\0\x80" + VP9_FRAME))
    (stream,) = found.streams
    assert (stream.codec_context.codec.name, stream.codec_context.width, stream.codec_context.height) == ("vp9", 64, 32)
    assert (found.duration, found.start_time, stream.average_rate) == (1_000_000, 0, 25)


def matroska_reader_read(place: Path, content: bytes) -> Any:
    found: Any = read(place, content)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        _HEADER,
        film(),
        film(duration=_written(float("inf"))),
        film(block=b"\x82\0\0\x80" + VP9_FRAME),
        film(block=b"\x81\xff\xff\x80" + VP9_FRAME),
        film(block=b"\x81\0\0\x86" + VP9_FRAME),
        film(block=b"\x81\0\0"),
        film(picture=[[0xB0, number(64)]]),
        film(picture=[[0xB0, number(64)], [0xBA, number(32)], [0x54AA, number(8)]]),
        film(picture=[[0xB0, number(64)], [0xBA, number(32)], [0xBA, number(32)]]),
        film(block=b"\x81\0\0\x80" + VP9_FRAME)[:-1],
        _HEADER + film(block=b"\x81\0\0\x80" + VP9_FRAME),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(place: Path, content: bytes) -> None:
    """Lengths, times and numbers that cannot be, twice the same, and what is not understood."""
    assert read(place, content) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(place: Path, content: bytes) -> None:
    """As a header, as a segment, and as all that follows one."""
    assert read(place, content) is None
    assert read(place, _HEADER + content) is None
    assert read(place, _HEADER + element(SEGMENT, content)) is None


@given(st.lists(st.tuples(st.sampled_from(_KNOWN), trees).map(list), max_size=8))
@settings(max_examples=200)
def test_any_tree_of_known_elements_is_read_or_refused(place: Path, tree: Tree) -> None:
    """Wherever they lie in one another."""
    read(place, _HEADER + element(SEGMENT, tree))


@given(st.binary(max_size=60), st.integers(0, 300), st.booleans())
@settings(max_examples=200)
def test_any_damage_is_read_or_refused(place: Path, damage: bytes, at: int, longer: bool) -> None:
    """In place of what was there, or put between."""
    whole = film(block=b"\x81\0\0\x80" + VP9_FRAME)
    read(place, whole[:at] + damage + whole[at + (0 if longer else len(damage)) :])


def test_many_small_elements_take_no_time(place: Path) -> None:
    """As many as fit into the first bytes, and blocks beyond them that would have to be looked for."""
    blocks = [[0xE7, b"\0"], *([[0xA3, b"\x81\0\0\x80\0"]] * 20_000)]
    track: Tree = [[0xD7, b"\1"], [0x83, b"\1"], [0x86, b"V_MPEG4/ISO/AVC"], [0x23E383, number(40_000_000)]]
    track += [[0x63A2, b"\1d\0\x0a\xff\xe1"], [VIDEO, [[0xB0, number(64)], [0xBA, number(32)]]]]
    info: Tree = [[0x4489, _written(1000.0)]]
    head: Tree = [[INFO, info], [TRACKS, [[TRACK, track]]]]
    assert read(place, _HEADER + element(SEGMENT, [*head, [CLUSTER, blocks]])) is None
    assert read(place, _HEADER + element(SEGMENT, [*head, *([[CLUSTER, [[0xE7, b"\0"]]]] * 20_000)])) is None
    assert read(place, _HEADER + element(SEGMENT, [[TAGS, [[0x7373, b""]] * 20_000], *head])) is None
