"""Questions to disks that hang, and to processes that die of them."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from stoat_ferret.fork_server import ForkServer
from stoat_ferret.scan.disk import DiskShelf
from stoat_ferret.scan.disk_process import MODULE


@pytest.fixture
def shelf() -> Iterator[DiskShelf]:
    """Give processes that may be silent for half a second."""
    shelf = DiskShelf(2.0, processes=2)
    yield shelf
    shelf.close()


def nothing() -> None:
    """Do nothing meanwhile."""


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]


def test_an_answer_is_what_the_function_gives_or_the_error_it_ends_in(shelf: DiskShelf) -> None:
    """Also where several questions are open."""
    with shelf.open(nothing) as disk:
        numbers = [disk.ask(str.encode, f"{number}") for number in range(3)]
        assert disk.call(os.path.basename, "/a/b") == "b"
        with pytest.raises(FileNotFoundError):
            disk.call(os.listdir, "/not/there")
        found: dict[int, bytes] = {}
        while len(found) < 3:
            found |= dict(disk.answers(1.0))
        assert found == {number: b"%d" % index for index, number in enumerate(numbers)}


def test_a_silent_disk_is_left_behind(shelf: DiskShelf) -> None:
    """What it was asked is answered by a TimeoutError; what waited behind it, by another process."""
    others_children = {each.pid for each in children()}
    with shelf.open(nothing) as disk:
        silent = [disk.ask(time.sleep, 3600.0), disk.ask(time.sleep, 3600.0)]
        others = [disk.ask(str.encode, "x") for _ in range(disk.room)]
        before = {each.pid for each in children()} - others_children
        found: dict[int, object] = {}
        while len(found) < len(silent) + len(others):
            found |= dict(disk.answers(1.0))
        assert all(isinstance(found[number], TimeoutError) for number in silent)
        assert all(found[number] == b"x" for number in others)
        assert disk.call(str.encode, "y") == b"y"
        _, alive = psutil.wait_procs([each for each in children() if each.pid in before], timeout=10)
        assert alive == []


def test_a_question_that_ends_its_process_twice_is_given_up(shelf: DiskShelf) -> None:
    """One death may have been anyone's doing."""
    with shelf.open(nothing) as disk:
        with pytest.raises(OSError, match="twice") as caught:
            disk.call(os.abort)
        assert caught.value.errno == errno.EIO
        assert disk.call(str.encode, "x") == b"x"


def test_what_is_killed_is_asked_again(shelf: DiskShelf) -> None:
    """Nothing is lost with a process; also not with one that dies while nobody asks it anything."""
    with shelf.open(nothing) as disk:
        assert disk.call(str.encode, "x") == b"x"
    for process in children():
        process.send_signal(signal.SIGKILL)
        process.wait()
    with shelf.open(nothing) as disk:
        assert disk.call(str.encode, "y") == b"y"


def test_processes_are_kept_for_the_next_scan_and_end_with_the_shelf(shelf: DiskShelf) -> None:
    """One that is still at something is not kept."""
    with shelf.open(nothing) as disk:
        disk.call(str.encode, "x")
        kept = {each.pid for each in children()}
    with shelf.open(nothing) as disk:
        disk.call(str.encode, "x")
        assert {each.pid for each in children()} == kept
        disk.ask(time.sleep, 3600.0)
    shelf.close()
    until = time.monotonic() + 30
    while children() and time.monotonic() < until:
        time.sleep(0.01)
    assert not children()


def test_waiting_can_be_ended(shelf: DiskShelf) -> None:
    """What is done meanwhile may raise: so a scan is cancelled though its disk hangs."""

    def cancelled() -> None:
        raise KeyboardInterrupt

    with shelf.open(cancelled) as disk, pytest.raises(KeyboardInterrupt):
        disk.call(time.sleep, 3600.0)


def test_a_closed_shelf_leaves_no_process_to_others() -> None:
    """Not even a dead one, to whoever looks after this process."""
    with closing(ForkServer([MODULE])) as forks:
        shelf = DiskShelf(2.0, processes=2, forks=forks)
        with shelf.open(nothing) as disk:
            numbers = [disk.ask(os.getpid) for _ in range(4)]
            pids: set[int] = set()
            while numbers:
                for number, pid in disk.answers(1.0):
                    numbers.remove(number)
                    pids.add(pid)
        assert all(psutil.Process(pid).ppid() == forks.pid for pid in pids)
        shelf.close()
        assert not any(psutil.pid_exists(pid) for pid in pids)
