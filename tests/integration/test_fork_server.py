"""Processes forked by one that has loaded what they need."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from stoat_ferret.fork_server import UNKNOWN_STATUS, Forked, ForkServer, NoForkError
from stoat_ferret.scan.disk_process import MODULE


@pytest.fixture
def forks() -> Iterator[ForkServer]:
    with closing(ForkServer([MODULE])) as server:
        yield server


def fork(server: ForkServer) -> tuple[Forked, socket.socket]:
    """Fork a process that ends with its pipe; gives our end as well."""
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            return server.fork(MODULE, [], theirs.fileno()), ours
        except NoForkError:
            ours.close()
            raise


def test_a_process_ends_with_its_pipe(forks: ForkServer) -> None:
    """Nobody else holds its end: neither the server nor those that were forked later."""
    first, ours = fork(forks)
    second, others = fork(forks)
    with others:
        assert first.poll() is None
        ours.close()
        assert (first.wait(5), first.poll()) == (0, 0)
        assert psutil.Process(second.pid).name() == "stoat-disk"
    assert second.wait(5) == 0


def test_a_number_is_nobody_elses_until_it_was_asked_about(forks: ForkServer) -> None:
    """Who has ended is kept by the system, so that a signal sent late meets nobody else."""
    process, ours = fork(forks)
    with ours:
        os.kill(process.pid, signal.SIGKILL)
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        process.kill()
        assert process.wait(5) == -signal.SIGKILL
        assert not psutil.pid_exists(process.pid)
        process.kill()


def test_many_threads_may_fork(forks: ForkServer) -> None:
    """Each gets its own."""
    found: list[tuple[Forked, socket.socket]] = []
    threads = [threading.Thread(target=lambda: found.append(fork(forks))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({process.pid for process, _ in found}) == 8
    for process, ours in found:
        ours.close()
        assert process.wait(5) == 0


def test_what_was_asked_of_a_server_that_dies_never_came_to_be(forks: ForkServer) -> None:
    """Nothing is left to be killed, and nobody waits for it."""
    forks.warm()
    assert forks.pid is not None
    os.kill(forks.pid, signal.SIGSTOP)
    process, ours = fork(forks)
    os.kill(forks.pid, signal.SIGKILL)
    with ours, pytest.raises(ProcessLookupError):
        _ = process.pid
    process.kill()
    assert process.wait(5) == UNKNOWN_STATUS
    another, ours = fork(forks)
    with ours:
        assert another.poll() is None


def test_without_pidfd_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks starts a process instead."""
    monkeypatch.delattr(os, "pidfd_open")
    server = ForkServer([MODULE])
    server.warm()
    with pytest.raises(NoForkError, match="pidfd_open"):
        fork(server)
    assert server.pid is None


def test_a_closed_server_forks_no_more(forks: ForkServer) -> None:
    """It is not started anew behind its owner's back; those it had forked live on, until their pipes end."""
    process, ours = fork(forks)
    pid = process.pid
    forks.close()
    with pytest.raises(NoForkError, match="closed"):
        fork(forks)
    with ours:
        assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    assert process.wait(5) == UNKNOWN_STATUS


def test_only_what_is_loaded_can_be_asked_for(forks: ForkServer) -> None:
    """A mistake of the caller's."""
    with pytest.raises(ValueError, match="not among"):
        forks.fork("os", [], 0)
