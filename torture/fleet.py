"""The program at work: a server with its worker, further workers beside it, and the means to end any of them."""

import random
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.test_blackbox.program import Calls, unmeasured

START_SECONDS = 120.0
LINES_SHOWN = 30
STOP_SECONDS = 60.0
"""What an orderly stop gets: far more than it should take, and how long it took is told."""


class Fleet:
    """All processes that work on one data directory. `log` takes what they write to stderr."""

    def __init__(
        self, data: Path, log: Path, environment: dict[str, str], *, workers: int = 1, rng: random.Random | None = None
    ) -> None:
        self.data = data
        self._log = log
        self._environment = {**unmeasured(), "STOAT_LOG_FORMAT": "json", **environment}
        self._beside = workers - 1
        self._rng = rng or random.Random()
        self._server: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._announced = threading.Event()
        self._address = ""
        self._seen: dict[int, psutil.Process] = {}
        self.started_at = time.monotonic()
        self.stop_seconds: list[float] = []
        """How long each orderly stop of a server, or of a worker beside it, took."""

    # Start and orderly end

    def start(self) -> None:
        """Start what is not running; does not wait until it is ready."""
        if self._server is None or self._server.poll() is not None:
            self._announced = threading.Event()
            self._server = self._spawn("serve", "--port", "0", piped=True)
            self.started_at = time.monotonic()
            announced = (self._server, self._announced)
            threading.Thread(target=self._read_address, args=announced, daemon=True).start()
        alive = [worker for worker in self._workers if worker.poll() is None]
        self._workers = alive + [self._spawn("worker") for _ in range(self._beside - len(alive))]

    def ready(self, seconds: float = START_SECONDS) -> bool:
        """Wait until the server takes requests; False when it ended before."""
        until = time.monotonic() + seconds
        while not self._announced.wait(0.01):
            if self._server is None or self._server.poll() is not None:
                return self._announced.is_set()
            if time.monotonic() > until:
                msg = f"the server did not get ready within {seconds:g} s; see {self._log}"
                raise AssertionError(msg)
        return True

    def all_at_work(self, seconds: float = START_SECONDS) -> bool:
        """Wait until the server and all workers have said that they are alive; False when the server ended before."""
        if not self.ready(seconds):
            return False
        until = time.monotonic() + seconds
        here: set[int] = set()
        told: set[int] = set()
        with suppress(httpx2.TransportError), self.calls().client as client:
            while time.monotonic() < until:
                here, told = {process.pid for process in self.workers()}, heard(client)
                if len(here) > self._beside and here <= told:
                    return True
                time.sleep(0.05)
            raise AssertionError(self._who_is_missing(seconds, here, told))
        return False

    def _who_is_missing(self, seconds: float, here: set[int], told: set[int]) -> str:
        ended = {worker.pid: worker.returncode for worker in self._workers if worker.poll() is not None}
        silent = [_describe(process) for process in self.workers() if process.pid not in told]
        last = self._log.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
        return "\n".join(
            [
                f"of {self._beside + 1} workers, {len(here & told)} have said within {seconds:g} s that they are alive",
                f"ended by themselves, with status: {ended}; silent: {silent}; {self._log} ends in",
                *last,
            ]
        )

    @property
    def announced(self) -> bool:
        """True once the server that was started last has said where it listens."""
        return self._announced.is_set()

    def calls(self, timeout: float = 60.0) -> Calls:
        """Give a client of the server as it runs now."""
        return Calls(httpx2.Client(base_url=self._address, timeout=timeout))

    def stop(self) -> list[str]:
        """End everything in good order; gives the processes that did not end as they should."""
        self._notice()
        trouble: list[str] = []
        for process in [self._server, *self._workers]:
            if process is None or process.poll() is not None:
                continue
            asked = time.monotonic()
            process.terminate()
            try:
                status = process.wait(STOP_SECONDS)
                self.stop_seconds.append(time.monotonic() - asked)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                status = -1
            if status:
                trouble.append(f"process {process.pid} ended with status {status} when it was asked to end")
        return trouble + self.left_behind()

    def left_behind(self, seconds: float = 30.0) -> list[str]:
        """Give the processes that are still there although all that they belong to has ended."""
        _, alive = psutil.wait_procs(list(self._seen.values()), timeout=seconds)
        self._seen = {process.pid: process for process in alive}
        return [f"left behind: {_describe(process)}" for process in alive]

    def abandon(self) -> None:
        """End everything at once, whatever state it is in."""
        self._notice()
        for process in [self._server, *self._workers]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(10)
        for other in self._seen.values():
            with suppress(psutil.Error):
                other.kill()

    # Who is there

    def server(self) -> psutil.Process | None:
        """Give the server's process, if it runs."""
        return _present(self._server)

    def workers(self) -> list[psutil.Process]:
        """Give the processes that run jobs: the server's own one first."""
        found = [child for child in _children(self.server()) if "worker" in _command(child)]
        return found + [process for worker in self._workers if (process := _present(worker))]

    def probes(self) -> list[psutil.Process]:
        """Give the processes that examine files, leaving out those that are not ready for it.

        Three in a row that end before they are rightly end a scan: examining cannot work there at all.
        """
        return [
            child for worker in self.workers() for child in _children(worker, recursive=True) if is_locked_down(child)
        ]

    # Deaths

    def victims(self, target: str) -> list[psutil.Process]:
        """Give the processes that `server`, `both` (it and the workers), `worker` and `probe` (one each) stand for."""
        self._notice()
        if target == "server":
            return [process for process in [self.server()] if process]
        if target == "both":
            return self.victims("server") + self.workers()
        candidates = self.workers() if target == "worker" else self.probes()
        return candidates and [self._rng.choice(candidates)]

    def kill(self, target: str, number: signal.Signals = signal.SIGKILL) -> bool:
        """Send a signal to what `target` stands for; False when there is nothing to send it to."""
        hit: set[int] = set()
        for victim in self.victims(target):
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(number)
                hit.add(victim.pid)
        if number is signal.SIGKILL:
            # A moment later they are gone; whoever looks before that would take them for alive, and start no others.
            for process in [self._server, *self._workers]:
                if process is not None and process.pid in hit:
                    process.wait(30)
        return bool(hit)

    def _notice(self) -> None:
        """Remember every process that is there, so that none is forgotten when its parent dies."""
        for top in [self._server, *self._workers]:
            process = _present(top)
            for one in [process, *_children(process, recursive=True)]:
                if one is not None:
                    self._seen[one.pid] = one

    def _spawn(self, *arguments: str, piped: bool = False) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "stoat_ferret", *arguments, "--data-dir", str(self.data)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
                stderr=log,
                env=self._environment,
            )

    def _read_address(self, server: "subprocess.Popen[bytes]", announced: threading.Event) -> None:
        assert server.stdout is not None
        with server.stdout as lines:
            for line in lines:
                if line.startswith(b"listening on ") and server is self._server:
                    self._address = line.decode().split()[-1]
                    announced.set()


def heard(client: httpx2.Client) -> set[int]:
    """Give the process ids of the workers that have said of late that they are alive."""
    facts: dict[str, Any] = client.get("/health/ready").json()["checks"]["worker"].get("facts", {})
    return set(facts.get("pids", ()))


def _present(process: "subprocess.Popen[bytes] | None") -> psutil.Process | None:
    if process is None or process.poll() is not None:
        return None
    try:
        return psutil.Process(process.pid)
    except psutil.NoSuchProcess:
        return None


def _children(process: psutil.Process | None, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        return process.children(recursive=recursive) if process else []
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_locked_down(probe: psutil.Process) -> bool:
    """Tell whether a probe process has limited what it may write, which is nearly the last thing before its hello."""
    try:
        return resource.prlimit(probe.pid, resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    except (ProcessLookupError, PermissionError):
        return False


def _describe(process: psutil.Process) -> str:
    try:
        facts: dict[str, Any] = process.as_dict(["pid", "ppid", "status", "cmdline"])
    except psutil.Error:
        facts = {"pid": process.pid}
    return str(facts)
