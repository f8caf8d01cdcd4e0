"""A file as FFmpeg is given it: the same bytes as on disk, in few reads."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.errors import UnreadableFileError
from stoat_ferret.media.source import LONGEST_READ, MOST_LOOKS, SHORTEST_READ, Source, View, opened

CONTENT = bytes(number * number >> 3 & 255 for number in range(5 * SHORTEST_READ + 77))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "film.mkv"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is asked of the disk: offsets and lengths."""
    asked: list[tuple[int, int]] = []
    real = os.pread

    def note(descriptor: int, length: int, offset: int) -> bytes:
        asked.append((offset, length))
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", note)
    return asked


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 2 * SHORTEST_READ)),
        st.tuples(st.just("seek"), st.integers(-5, len(CONTENT) + 5)),
        st.tuples(st.just("part"), st.integers(0, len(CONTENT))),
    ),
    max_size=30,
)


@given(STEPS)
def test_it_gives_what_is_in_the_file(path: Path, steps: list[tuple[str, int]]) -> None:
    """Whatever was read, kept or sought before; never more than asked for: it would overrun FFmpeg's buffer."""
    place = 0
    with opened(bytes(path)) as source:
        for step, number in steps:
            if step == "part":
                assert source.part(number, SHORTEST_READ) == CONTENT[number : number + SHORTEST_READ]
            elif step == "seek":
                assert source.seek(number) == number
                place = number if number >= 0 else place
            else:
                found = source.read(number)
                assert len(found) <= number
                assert found == CONTENT[place : place + len(found)]
                assert found or not number or place >= len(CONTENT)
                place += len(found)
            assert source.tell() == place
        assert source.seek(-3, os.SEEK_END) == len(CONTENT) - 3
        assert source.seek(1, os.SEEK_CUR) == len(CONTENT) - 2
        assert source.read(1) + source.read(10) == CONTENT[-2:]
        assert source.read(10) == b""
        assert source.tail() == source.peek(len(CONTENT) - SHORTEST_READ, SHORTEST_READ) == CONTENT[-SHORTEST_READ:]
        source.check()


def test_what_is_kept_is_not_read_again(path: Path, reads: list[tuple[int, int]]) -> None:
    """Nor read ahead into."""
    with opened(bytes(path)) as source:
        source.part(0, SHORTEST_READ)
        source.part(2 * SHORTEST_READ, SHORTEST_READ)
        reads.clear()
        assert source.head() == source.part(0, SHORTEST_READ) == source.peek(0, SHORTEST_READ)
        assert source.head() == source.read(SHORTEST_READ)
        assert reads == []
        assert source.read(SHORTEST_READ) + source.read(SHORTEST_READ) == CONTENT[SHORTEST_READ : 3 * SHORTEST_READ]
        assert reads == [(SHORTEST_READ, SHORTEST_READ)]


def test_who_reads_on_is_given_more_at_a_time(tmp_path: Path, reads: list[tuple[int, int]]) -> None:
    """Who jumps about is not."""
    path = tmp_path / "long"
    path.write_bytes(bytes(4 * LONGEST_READ))
    with opened(bytes(path)) as source:
        while source.read(4096):
            pass
        assert len(reads) < 12
        assert max(length for _, length in reads) == LONGEST_READ
        reads.clear()
        source.seek(3 * SHORTEST_READ + 1)
        source.read(1)
        assert reads == [(3 * SHORTEST_READ + 1, SHORTEST_READ)]


def test_a_disk_that_refuses_is_an_end_to_ffmpeg_and_an_error_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would not hand it on from everywhere."""

    def refuse(*_args: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", refuse)
    for asked in ("head", "tail", "read"):
        with opened(bytes(path)) as source:
            assert (source.read(10) if asked == "read" else getattr(source, asked)()) == b""
            with pytest.raises(UnreadableFileError, match="Input/output error"):
                source.check()
    with opened(bytes(path)) as source, pytest.raises(OSError, match="Input/output error"):
        source.part(0, 10)


def test_it_is_named_as_the_file_is(path: Path) -> None:
    """Some formats are told by the ending; names are bytes."""
    with path.open("rb") as file:
        source = Source(file.fileno(), b"/caf\xe9.ts")
        assert (os.fsencode(source.name), source.size) == (b"/caf\xe9.ts", len(CONTENT))
        assert Source(file.fileno(), b"/x", 7).size == 7


def test_a_file_that_is_gone_cannot_be_opened(tmp_path: Path) -> None:
    """Which is passing."""
    with pytest.raises(UnreadableFileError, match="No such file"), opened(bytes(tmp_path / "nothing")):
        pass


@given(st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 9000)), max_size=20), st.booleans())
def test_a_view_shows_what_is_in_the_file(path: Path, looks: list[tuple[int, int]], near: bool) -> None:
    """Bytes, single ones and parts, whether they were read before or not."""
    start, end = 1000, 300_000
    with opened(bytes(path)) as source:
        if near:
            source.head()
        view, wanted = View(source, start, end), CONTENT[start:end]
        assert len(view) == len(wanted)
        for at, length in looks:
            assert view[at : at + length] == wanted[at : at + length]
        assert (view[0], view[5000]) == (wanted[0], wanted[5000])
        assert bytes(view) == wanted
        with pytest.raises(IndexError):
            View(source)[len(CONTENT)]


def test_a_view_is_not_looked_at_too_often(path: Path, reads: list[tuple[int, int]]) -> None:
    """A few bytes here and there, of which each is a read; those side by side are one."""
    with opened(bytes(path)) as source:
        view = View(source)
        assert [view[at] for at in range(1000)] == list(CONTENT[:1000])
        assert len(reads) == 1
        with pytest.raises(IndexError):
            [view[at] for at in range(len(CONTENT) - 1, 0, -4999)]
        assert len(reads) <= MOST_LOOKS
