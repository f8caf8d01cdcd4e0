"""Processes forked by one that has loaded what they need."""

import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from stoat_ferret import fork_server
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
        until = time.monotonic() + 5
        while psutil.Process(second.pid).name() != "stoat-disk":
            assert time.monotonic() < until
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


def test_many_threads_may_ask_about_the_same_process(forks: ForkServer) -> None:
    """Its descriptor is closed once, and nobody else's; whoever asks late hears what the first one heard."""
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        process, ours = fork(forks)
        problems: list[OSError] = []

        def ask(process: Forked = process, problems: list[OSError] = problems) -> None:
            try:
                while process.poll() is None:
                    pass
                process.kill()
            except OSError as error:
                problems.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        ours.close()
        for thread in threads:
            thread.join()
        assert (problems, process.wait(1)) == ([], 0)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1


def test_a_module_that_cannot_be_loaded_is_no_hindrance_to_the_others(tmp_path: Path) -> None:
    """Who is to be that one says why, where its own output goes."""
    (tmp_path / "no_such_luck.py").write_text("raise ImportError('libfoo is missing')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with closing(ForkServer(["no_such_luck", MODULE], lambda: environment)) as forks:
        process, ours = fork(forks)
        with ours:
            assert process.poll() is None
        ours, theirs = socket.socketpair()
        with ours, theirs, (tmp_path / "log").open("w+b") as log:
            unlucky = forks.fork("no_such_luck", [], theirs.fileno(), log.fileno())
            assert unlucky.wait(5) == 1
        assert b"libfoo is missing" in (tmp_path / "log").read_bytes()


def test_where_no_process_can_be_started_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """To warm up is no matter of life and death."""

    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", fail)
    forks = ForkServer([MODULE])
    forks.warm()
    with pytest.raises(NoForkError, match="temporarily"):
        fork(forks)


def test_a_server_that_says_nothing_is_given_up(forks: ForkServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon, once it has answered before."""
    monkeypatch.setattr(fork_server, "ANSWER_SECONDS", 0.3)
    first, ours = fork(forks)
    assert first.pid
    server = forks.pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    ours.close()
    assert first.wait(5) == UNKNOWN_STATUS
    second, ours = fork(forks)
    with ours:
        assert second.poll() is None
    assert forks.pid != server


def test_a_process_that_cannot_be_watched_is_ended(forks: ForkServer) -> None:
    """Where this one has no descriptor left to watch it by; it never came to be."""
    first, others = fork(forks)
    assert first.pid
    process, ours = fork(forks)
    with ours, others:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        time.sleep(0.2)  # its descriptor is on its way
        highest = max(map(int, os.listdir("/proc/self/fd")))
        taken = [os.dup(0) for _ in range(highest + 1 - len(os.listdir("/proc/self/fd")))]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
            assert process.wait(5) == UNKNOWN_STATUS
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for descriptor in taken:
                os.close(descriptor)
        assert ours.recv(1) == b""  # its end is closed: it is gone
