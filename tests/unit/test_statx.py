"""What the system tells of many files at once, against what it tells of each."""

import os
import threading
from pathlib import Path

import pytest

from stoat_ferret import statx
from tests.factories import put

pytestmark = pytest.mark.skipif(os.uname().sysname != "Linux", reason="statx(2) is Linux's")

TIMES_NS = (0, 1, -1, -1_500_000_000, 1_700_000_000_123_456_789, (1 << 31) * 1_000_000_000 + 5)


def told(folder: Path, names: list[str]) -> statx.States | None:
    """Ask for the states of files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return statx.states(descriptor, [os.fsencode(name) for name in names])
    finally:
        os.close(descriptor)


def make(folder: Path, count: int) -> list[str]:
    """Write files of different sizes and times; gives their names."""
    names = [f"{number}\udcff é.mp4" for number in range(count)]
    for number, name in enumerate(names):
        put(folder / name, "x" * number)
        time_ns = TIMES_NS[number % len(TIMES_NS)]
        os.utime(folder / name, ns=(time_ns, time_ns))
    return names


@pytest.mark.parametrize("count", [0, 1, 7, 2_050])
def test_states_are_those_that_lstat_tells(tmp_path: Path, count: int) -> None:
    """Times before 1970, names of any bytes and more files than are asked for at a time among them."""
    names = make(tmp_path, count)
    states = told(tmp_path, names)
    single = [os.lstat(tmp_path / name) for name in names]
    assert states is not None
    assert list(states.sizes) == [each.st_size for each in single]
    assert list(states.times) == [each.st_mtime_ns for each in single]
    assert list(states.inodes) == [each.st_ino for each in single]
    assert list(states.devices) == [each.st_dev for each in single]


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each has its own room for the answers."""
    names = [make(tmp_path / str(number), 400) for number in range(4)]
    expected = [told(tmp_path / str(number), names[number]) for number in range(4)]
    found: dict[int, list[statx.States | None]] = {}

    def ask(number: int) -> None:
        found[number] = [told(tmp_path / str(number), names[number]) for _ in range(30)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [expected[number]] * 30 for number in range(4)}


def test_where_one_is_no_file_or_not_there_nothing_is_told(tmp_path: Path) -> None:
    """Rather than half of it; nor of times that do not fit."""
    put(tmp_path / "a.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to("a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    for other in ("folder.mp4", "link.mp4", "pipe.mp4", "not there.mp4"):
        assert told(tmp_path, ["a.mp4", other]) is None
    assert told(tmp_path, ["a.mp4"]) is not None
    put(tmp_path / "late.mp4")
    os.utime(tmp_path / "late.mp4", (0, 10_000_000_000))
    if os.lstat(tmp_path / "late.mp4").st_mtime_ns > (1 << 63) - 1:
        assert told(tmp_path, ["late.mp4"]) is None
