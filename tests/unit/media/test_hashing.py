"""The hash of a whole file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from stoat_ferret.errors import FileChangedError, NotMediaError, UnreadableFileError
from stoat_ferret.media import hashing
from stoat_ferret.media.hashing import Hashed, Reading, Throttle


def read(path: Path, between: Callable[[int], None] = lambda _count: None, *, count: int = hashing.CHUNK) -> Hashed:
    """Hash a file in pieces."""
    reading = Reading(bytes(path))
    try:
        while read := reading.go_on(count):
            between(read)
        return reading.finish()
    finally:
        reading.close()


@pytest.mark.parametrize("length", [0, 1, hashing.CHUNK, hashing.CHUNK + 1, 3 * hashing.CHUNK])
@pytest.mark.parametrize("count", [hashing.CHUNK, 2 * hashing.CHUNK + 1])
def test_all_of_a_file_is_hashed(tmp_path: Path, length: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece, and each is told; what was read is let go of in between."""
    monkeypatch.setattr(hashing, "FORGET_EVERY", hashing.CHUNK)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(length))
    pieces: list[int] = []
    hashed = read(path, pieces.append, count=count)
    assert hashed.digest == blake3(path.read_bytes()).hexdigest()
    assert (hashed.size, hashed.mtime_ns) == (length, path.stat().st_mtime_ns)
    assert (sum(pieces), max(pieces, default=0) <= count) == (length, True)


def test_a_file_that_changes_meanwhile_has_no_hash(tmp_path: Path) -> None:
    """Neither one that is written to, nor one that is replaced."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)

    def write(_count: int) -> None:
        path.write_bytes(b"y" * 11)

    with pytest.raises(FileChangedError):
        read(path, write)

    def replace(_count: int) -> None:
        (tmp_path / "other").write_bytes(b"y" * 11)
        os.replace(tmp_path / "other", path)

    with pytest.raises(FileChangedError):
        read(path, replace)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """Nor is a link followed; what is gone or cannot be read is said."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", "link", ""):
        with pytest.raises(NotMediaError):
            read(tmp_path / name)
    with pytest.raises(UnreadableFileError, match="no longer there"):
        read(tmp_path / "gone")


def test_a_disk_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's words, and not as damage."""
    (tmp_path / "file").write_bytes(b"x")

    def fail(*_arguments: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(UnreadableFileError, match="Input/output error"):
        read(tmp_path / "file")


def test_a_throttle_lets_so_much_through() -> None:
    """On the whole: what was not used before is not saved up, and 0 lets all through."""
    now = [0.0]
    throttle = Throttle(100.0, clock=lambda: now[0])
    assert throttle.wait_seconds(50) == 0.5
    assert throttle.wait_seconds(50) == 1.0
    now[0] = 10.0
    assert throttle.wait_seconds(100) == 1.0
    assert Throttle(0.0).wait_seconds(10**12) == 0.0
