"""Files that are read as wholes in another process: one that a disk holds is left behind."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from blake3 import blake3

from stoat_ferret.errors import NotMediaError, PathTimeoutError, UnreadableFileError
from stoat_ferret.media.hashing import CHUNK
from stoat_ferret.scan import disk_process, reading
from stoat_ferret.scan.disk import DirectDisk, DiskShelf
from stoat_ferret.scan.disk_process import reap
from stoat_ferret.scan.reading import Reader

PIECE = 1000
PIECE_OF_ALL = 8 * CHUNK


class Ended(Exception):  # noqa: N818  # it is no error
    """The job is to end."""


@pytest.fixture
def shelf() -> Iterator[DiskShelf]:
    """Processes that may be silent for a second."""
    with closing(DiskShelf(1.0)) as shelf:
        yield shelf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of several pieces."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(10 * PIECE))
    return path


def readers() -> list[psutil.Process]:
    """Give the processes that read for this one."""
    children = psutil.Process().children()
    return [child for child in children if "stoat_ferret.scan.disk_process" in child.cmdline()]


def once(work: Callable[[], object]) -> Callable[[int], None]:
    """Do something after the first piece."""
    done: list[int] = []

    def between(count: int) -> None:
        if not done:
            done.append(count)
            work()

    return between


def send(number: int) -> None:
    (process,) = readers()
    process.send_signal(number)


def test_one_file_after_another_is_read(shelf: DiskShelf, path: Path) -> None:
    """Also after one that cannot be; nothing stays open."""
    pieces: list[int] = []
    with shelf.open(lambda: None) as disk:
        reader = Reader(disk, pieces.append, piece=PIECE)
        for _ in range(2):
            assert reader.hash(bytes(path)).digest == blake3(path.read_bytes()).hexdigest()
            with pytest.raises(NotMediaError):
                reader.hash(bytes(path.parent))
        assert pieces == [PIECE] * 20
        (process,) = readers()
        assert not process.open_files()


def test_a_disk_that_hangs_is_left_behind(shelf: DiskShelf, path: Path) -> None:
    """Whoever asked is told in time, and the next file is read by another process."""
    with shelf.open(lambda: None) as disk:
        with pytest.raises(PathTimeoutError):
            Reader(disk, once(lambda: send(signal.SIGSTOP)), piece=PIECE).hash(bytes(path))
        assert Reader(disk, lambda _count: None).hash(bytes(path)).size == 10 * PIECE


def test_a_reading_whose_process_ends_has_no_hash(shelf: DiskShelf, path: Path) -> None:
    """What another one would read on is not all of the file."""
    with shelf.open(lambda: None) as disk:
        with pytest.raises(UnreadableFileError, match="process that read it ended"):
            Reader(disk, once(lambda: send(signal.SIGKILL)), piece=PIECE).hash(bytes(path))
        assert Reader(disk, lambda _count: None).hash(bytes(path)).size == 10 * PIECE


def test_a_file_is_let_go_of_when_a_job_ends(shelf: DiskShelf, path: Path) -> None:
    """A disk could not be unmounted otherwise; and no later reading goes on with it."""

    def end() -> None:
        raise Ended

    def read() -> None:
        with shelf.open(lambda: None) as disk:
            Reader(disk, once(end), piece=PIECE).hash(bytes(path))

    with pytest.raises(Ended):
        read()
    until = time.monotonic() + 30
    while any(process.open_files() for process in psutil.Process().children()):
        assert time.monotonic() < until
        reap()
        time.sleep(0.01)


def test_no_reading_goes_on_with_anothers_file(path: Path, tmp_path: Path) -> None:
    """Whatever the process had open."""
    other = tmp_path / "other"
    other.write_bytes(b"x")
    disk = DirectDisk()
    assert reading._begin("first", bytes(path), False) is None  # as after an end that nobody told
    with pytest.raises(UnreadableFileError, match="process that read it ended"):
        Reader(disk, lambda _count: None)._ask(reading._go_on, "second", 1)
    assert Reader(disk, lambda _count: None).hash(bytes(other)).size == 1


def test_a_slow_disk_is_not_taken_for_one_that_hangs(path: Path) -> None:
    """Each megabyte that it gives is a sign of life."""
    path.write_bytes(bytes(3 * CHUNK))
    told: list[bool] = []
    assert reading._begin("one", bytes(path), False) is None  # what the other process does
    assert reading._go_on("one", PIECE_OF_ALL, lambda: told.append(True)) == 3 * CHUNK
    assert len(told) == 3
    assert disk_process._tells(reading._go_on)


def test_a_job_ends_while_its_disk_hangs(shelf: DiskShelf, path: Path) -> None:
    """It does not wait for the deadline, and the file is let go of."""
    stopped: list[bool] = []

    def meanwhile() -> None:
        if stopped:
            raise Ended

    def stop() -> None:
        send(signal.SIGSTOP)
        stopped.append(True)

    def read() -> None:
        with shelf.open(meanwhile) as disk:
            Reader(disk, once(stop), piece=PIECE).hash(bytes(path))

    with pytest.raises(Ended):
        read()
    until = time.monotonic() + 30
    while psutil.Process().children():
        assert time.monotonic() < until
        reap()
        time.sleep(0.01)
