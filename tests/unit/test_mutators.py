"""Damage is drawn by the seed alone, stays within bounds, and knows the pieces files are made of."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torture.mutators import MUTATORS, Mutator, mutate, pieces

BOX = b"\0\0\0\x10free" + b"x" * 8
MOOV = (8 + 2 * len(BOX)).to_bytes(4, "big") + b"moov" + 2 * BOX
MP4 = b"\0\0\0\x10ftypisom\0\0\0\0" + MOOV + b"\0\0\0\1mdat" + (24).to_bytes(8, "big") + b"y" * 8
CHUNK = b"strh" + (6).to_bytes(4, "little") + b"vids\0\0"
CHUNKS = CHUNK + CHUNK.replace(b"strh", b"strf")
LIST = b"LIST" + (4 + len(CHUNKS)).to_bytes(4, "little") + b"strl" + CHUNKS
AVI = b"RIFF" + (4 + len(LIST)).to_bytes(4, "little") + b"AVI " + LIST
TRACK = b"\xae\x84\xd7\x81\x01\xec"
MKV = b"\x1aE\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\x16\x54\xae\x6b\x86" + TRACK
TS = b"".join(b"G" + bytes([number]) * 187 for number in range(4))
BUILDERS: dict[str, bytes] = {"mp4": MP4, "avi": AVI, "mkv": MKV, "ts": TS, "none": bytes(range(64)), "one": b"?"}

contents = st.one_of(
    st.sampled_from(sorted(BUILDERS.values())),
    st.binary(max_size=400),
    st.builds(lambda head, tail: head + tail, st.sampled_from(sorted(BUILDERS.values())), st.binary(max_size=100)),
)


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - is to be repeatable


@given(contents, st.integers(0, 10**9), st.lists(contents, min_size=1, max_size=3))
def test_the_same_seed_gives_the_same_damage(content: bytes, seed: int, donors: list[bytes]) -> None:
    """And the file it was done to stays as it was; the result's length is bounded."""
    before = bytes(content)
    first = mutate(content, drawn(seed), donors)
    assert mutate(content, drawn(seed), donors) == first
    assert content == before
    damaged, steps = first
    assert len(damaged) <= 2 * (len(content) + max(map(len, donors)))
    assert 1 <= len(steps) <= 4
    assert set(steps) <= {mutator.__name__ for mutator in MUTATORS}


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda mutator: str(mutator.__name__))
@given(data=st.data())
def test_each_kind_of_damage_takes_any_bytes(mutator: Mutator, data: Any) -> None:
    """Empty ones, and those that only look like a format, included."""
    content = bytearray(data.draw(contents))
    mutator(content, drawn(data.draw(st.integers(0, 10**6))), [data.draw(contents)])


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda mutator: str(mutator.__name__))
@pytest.mark.parametrize("kind", ["mp4", "avi", "mkv", "ts"])
def test_each_kind_of_damage_does_some(mutator: Mutator, kind: str) -> None:
    """Of twenty tries at least one leaves something else."""
    results = set()
    for seed in range(20):
        content = bytearray(BUILDERS[kind])
        mutator(content, drawn(seed), [BUILDERS["mp4" if kind != "mp4" else "mkv"]])
        results.add(bytes(content))
    assert results - {BUILDERS[kind]}


@given(contents)
def test_pieces_lie_in_the_file(content: bytes) -> None:
    """And so do the places where their lengths are written."""
    for piece in pieces(content):
        assert 0 <= piece.start < piece.end <= len(content)
        assert piece.length_at + piece.length_bytes <= len(content)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (MP4, [(0, 16), (16, 56), (24, 40), (40, 56), (56, 80)]),
        (AVI, [(0, len(AVI)), (12, len(AVI)), (24, 38), (38, 52)]),
        (MKV, [(0, 5), (5, len(MKV)), (17, len(MKV)), (22, len(MKV)), (24, 27)]),
        (TS, [(0, 188), (188, 376), (376, 564), (564, 752)]),
    ],
)
def test_files_are_taken_apart_as_their_formats_are_built(content: bytes, found: list[tuple[int, int]]) -> None:
    """Boxes, elements, chunks and packets, with what lies in them."""
    assert [(piece.start, piece.end) for piece in pieces(content)][: len(found)] == found


def test_every_length_of_a_box_can_be_lied_about() -> None:
    """A 64-bit one too."""
    assert [piece.length_bytes for piece in pieces(MP4)] == [4, 4, 4, 4, 8]
