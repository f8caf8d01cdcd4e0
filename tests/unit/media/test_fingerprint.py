"""The fingerprint is what its documentation says it is."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.media.fingerprint import BLOCK, bytes_hashed, fingerprint
from stoat_ferret.media.source import Source


@contextmanager
def file_of(content: bytes, size: int | None = None) -> Iterator[Source]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield Source(file.fileno(), b"/file", size)


def pattern(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


@given(st.binary(max_size=2000))
def test_a_short_file_is_hashed_once_as_a_whole(content: bytes) -> None:
    """Size and content, nothing twice."""
    expected = xxhash.xxh3_128_hexdigest(len(content).to_bytes(8, "little") + content)
    with file_of(content) as source:
        assert fingerprint(source) == expected


@pytest.mark.parametrize("size", [3 * BLOCK - 1, 3 * BLOCK, 3 * BLOCK + 1, 5 * BLOCK + 7])
def test_a_long_file_is_hashed_at_three_places(size: int) -> None:
    """Start, middle and end of 64 KiB each, but everything where that would overlap."""
    content = pattern(size)
    middle = (size - BLOCK) // 2
    parts = [content] if size <= 3 * BLOCK else [content[:BLOCK], content[middle : middle + BLOCK], content[-BLOCK:]]
    expected = xxhash.xxh3_128_hexdigest(size.to_bytes(8, "little") + b"".join(parts))
    with file_of(content) as source:
        assert fingerprint(source) == expected


@given(st.integers(min_value=0, max_value=10 * BLOCK), st.data())
def test_a_change_in_a_part_that_is_read_changes_the_fingerprint(size: int, data: st.DataObject) -> None:
    """Any byte of the three blocks counts."""
    if size == 0:
        return
    content = bytearray(pattern(size))
    place = data.draw(st.integers(min_value=0, max_value=min(size, BLOCK) - 1))
    position = data.draw(st.sampled_from([place, size - 1 - place]))
    with file_of(bytes(content)) as source:
        before = fingerprint(source)
    content[position] ^= 1
    with file_of(bytes(content)) as source:
        assert fingerprint(source) != before


def test_the_size_counts() -> None:
    """Files of zeros differ by their length."""
    with file_of(bytes(10)) as ten, file_of(bytes(11)) as eleven:
        assert fingerprint(ten) != fingerprint(eleven)


def test_a_file_shorter_than_announced_is_hashed_as_far_as_it_goes() -> None:
    """A file cut while it is read is no endless loop."""
    with file_of(b"abc", 4 * BLOCK) as source:
        assert fingerprint(source)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_no_more_than_192_kib_is_read(size: int) -> None:
    """The cost does not grow with the file."""
    assert bytes_hashed(size) == min(size, 192 * 1024)
