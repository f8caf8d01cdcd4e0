"""The supervisor with real, small child processes."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stoat_ferret.errors import StorageBusyError
from stoat_ferret.jobs import supervisor as supervisor_module
from stoat_ferret.jobs.supervisor import WorkerSupervisor, stop_at_eof

UNTIL_EOF = "import sys; sys.stdin.read()"
DEAF = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
CHILD = """
import asyncio, pathlib, sys
from stoat_ferret.jobs.supervisor import stop_at_eof
async def main():
    stop = asyncio.Event()
    stopped = asyncio.create_task(stop_at_eof(stop))
    await asyncio.sleep(0.1)
    pathlib.Path(sys.argv[1]).touch()
    await stopped
asyncio.run(main())
"""

Make = Callable[..., WorkerSupervisor]


@pytest.fixture
def make() -> Iterator[Make]:
    """Give a maker of supervisors that are stopped in the end."""
    with ExitStack() as stack:

        def build(
            code: str | Sequence[str], on_death: Callable[[int], object] = print, **options: Any
        ) -> WorkerSupervisor:
            command = [sys.executable, "-c", code] if isinstance(code, str) else code
            supervisor = WorkerSupervisor(command, on_death=on_death, **options)
            stack.callback(supervisor.stop, 0.2)
            return supervisor

        yield build


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_worker_ends_with_its_input(make: Make) -> None:
    """An orderly stop, after which there is no worker, and none comes."""
    supervisor = make(UNTIL_EOF)
    assert (supervisor.pid, supervisor.alive, supervisor.last_exit) == (None, False, None)
    supervisor.start()
    until(lambda: supervisor.alive)
    pid = supervisor.pid
    supervisor.stop()
    assert (supervisor.pid, supervisor.alive, supervisor.restarts) == (None, False, 0)
    assert supervisor.last_exit == f"The worker (process {pid}) ended with status 0."
    supervisor.stop()


def test_a_supervisor_is_started_once(make: Make) -> None:
    """Two would be two workers."""
    supervisor = make(UNTIL_EOF)
    supervisor.start()
    with pytest.raises(RuntimeError, match="started already"):
        supervisor.start()


def test_a_supervisor_that_was_stopped_starts_nothing(make: Make) -> None:
    """Whichever came first."""
    supervisor = make(UNTIL_EOF)
    supervisor.stop()
    supervisor.start()
    supervisor.stop()
    assert supervisor.last_exit is None


def test_a_dead_worker_is_replaced_after_its_death_was_told(make: Make) -> None:
    """With growing pauses while it keeps dying."""
    told: list[tuple[int, float]] = []
    supervisor = make("raise SystemExit(3)", on_death=lambda pid: told.append((pid, time.monotonic())))
    supervisor.start()
    until(lambda: len(told) >= 4)
    supervisor.stop()
    assert len({pid for pid, _ in told}) == len(told)
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.endswith("ended with status 3.")
    assert supervisor.restarts >= 3
    times = [moment for _, moment in told]
    assert times[1] - times[0] >= 0.1
    assert times[3] - times[2] >= 0.4


def test_a_healthy_worker_is_replaced_without_delay(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its earlier deaths are forgotten: were the pauses to grow, the last of these would take many minutes."""
    monkeypatch.setattr(supervisor_module, "HEALTHY_SECONDS", 0.0)
    monkeypatch.setattr(supervisor_module, "LAST_PAUSE_SECONDS", 3600.0)
    told: list[int] = []
    supervisor = make("pass", on_death=told.append)
    supervisor.start()
    until(lambda: len(told) >= 14)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 3, "signal 37")])
def test_the_signal_that_ended_a_worker_is_named(make: Make, number: int, name: str) -> None:
    """Also where it has no name."""
    supervisor = make(UNTIL_EOF)
    supervisor.start()
    until(lambda: supervisor.alive)
    assert supervisor.pid is not None
    os.kill(supervisor.pid, number)
    until(lambda: supervisor.last_exit)
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.endswith(f"was ended by {name}.")


def test_a_worker_that_does_not_stop_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After its input was closed and SIGTERM was sent in vain."""
    monkeypatch.setattr(supervisor_module, "TERM_SECONDS", 0.3)
    told: list[int] = []
    ready = tmp_path / "ready"
    supervisor = make([sys.executable, "-c", DEAF, str(ready)], on_death=told.append)
    supervisor.start()
    until(ready.exists)
    supervisor.stop(0.1)
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.endswith("was ended by SIGKILL.")
    assert told == []


def test_a_silent_worker_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has been so for several looks; a database that is busy says nothing about it."""
    monkeypatch.setattr(supervisor_module, "LOOK_SECONDS", 0.05)
    answers: Iterator[bool | StorageBusyError] = iter([True, True, False, StorageBusyError(), True, True, True])
    looks = 0

    def is_silent(pid: int) -> bool:
        nonlocal looks
        looks += 1
        answer = next(answers, False)
        if isinstance(answer, StorageBusyError):
            raise answer
        return answer

    supervisor = make(UNTIL_EOF, is_silent=is_silent)
    with capture_logs() as logs:
        supervisor.start()
        until(lambda: supervisor.restarts)
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.endswith("was ended by SIGKILL.")
    assert looks >= 7
    assert "cannot tell whether the worker is alive" in [entry["event"] for entry in logs]


def test_a_death_that_cannot_be_recorded_is_told_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times; in the end the lease has to do."""
    monkeypatch.setattr(supervisor_module, "LAST_PAUSE_SECONDS", 0.1)
    told: list[int] = []

    def on_death(pid: int) -> None:
        told.append(pid)
        if len(told) != 3:
            raise StorageBusyError

    supervisor = make("pass", on_death=on_death)
    supervisor.start()
    until(lambda: supervisor.restarts >= 2)
    assert told[0] == told[1] == told[2] != told[3]
    assert len(set(told[3:8])) == 1


def test_a_stop_does_not_wait_for_a_death_to_be_recorded(make: Make) -> None:
    """The next start recovers."""
    tried = threading.Event()

    def on_death(_pid: int) -> None:
        tried.set()
        raise StorageBusyError

    supervisor = make("pass", on_death=on_death)
    supervisor.start()
    assert tried.wait(60)
    supervisor.stop()
    assert supervisor.restarts == 0


def test_a_command_that_cannot_be_started_is_tried_again(make: Make) -> None:
    """And its reason can be read."""
    supervisor = make(["/nowhere/worker"])
    supervisor.start()
    until(lambda: supervisor.restarts >= 2)
    assert supervisor.last_exit == "The worker could not be started: No such file or directory."
    assert not supervisor.alive


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT])
def test_the_workers_side_stops_at_the_end_of_its_input_and_at_signals(
    make: Make, number: int | None, tmp_path: Path
) -> None:
    """In good order each time."""
    ready = tmp_path / "ready"
    supervisor = make([sys.executable, "-c", CHILD, str(ready)])
    supervisor.start()
    until(ready.exists)
    pid = supervisor.pid
    assert pid is not None
    if number is not None:
        os.kill(pid, number)
        until(lambda: supervisor.last_exit)
    supervisor.stop()
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.endswith("ended with status 0.")


def test_the_end_of_any_pipe_can_be_awaited() -> None:
    """What is written to it before means nothing."""
    reader, writer = os.pipe()

    async def main() -> None:
        stop = asyncio.Event()
        waiting = asyncio.create_task(stop_at_eof(stop, fd=reader))
        os.write(writer, b"ignored")
        await asyncio.sleep(0.05)
        assert not stop.is_set()
        os.close(writer)
        async with asyncio.timeout(60):
            await waiting
        assert stop.is_set()

    asyncio.run(main())
    os.close(reader)
