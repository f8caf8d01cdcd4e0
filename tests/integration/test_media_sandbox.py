"""The lock-down of probe processes, as the kernel carries it out."""

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from stoat_ferret.media import sandbox, seccomp
from stoat_ferret.media.process import WorkerProcess, readable
from stoat_ferret.media.sandbox import STEPS, lacking, lock_down
from stoat_ferret.paths import encode_base64
from tests.media_files import AudioTrack, place_clip

WAYS_OUT = """
import json, mmap, os, resource, socket, subprocess, sys, threading
from pathlib import Path
from stoat_ferret.media.sandbox import lock_down
folder, left_out, parent = Path(sys.argv[1]), sys.argv[2].split(","), os.getppid()
controls = lock_down(1 << 31, left_out)

def try_to(action):
    try:
        action()
    except (OSError, ValueError) as error:  # a limit that may not be set is a ValueError
        return type(error).__name__
    return "done"

def in_a_thread():
    said = []
    thread = threading.Thread(target=lambda: said.append(try_to(lambda: socket.socket())))
    thread.start()
    thread.join()
    if said != ["done"]:
        raise PermissionError(said)

there = folder / "there"
tries = {
    "read": there.read_bytes,
    "list": lambda: os.listdir(folder),
    "own memory": lambda: Path("/proc/self/status").read_bytes(),
    "map": lambda: mmap.mmap(-1, 1 << 20),
    "write": lambda: there.write_bytes(b""),
    "append": lambda: there.open("ab"),
    "create": (folder / "new").touch,
    "folder": (folder / "folder").mkdir,
    "remove": there.unlink,
    "rename": lambda: there.rename(folder / "elsewhere"),
    "link": lambda: os.link(there, folder / "link"),
    "symlink": lambda: os.symlink(there, folder / "symlink"),
    "pipe": lambda: os.mkfifo(folder / "pipe"),
    "mode": lambda: there.chmod(0o777),
    "times": lambda: os.utime(there),
    "truncate": lambda: os.truncate(there, 0),
    "run": lambda: subprocess.run(["/bin/true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "exec": lambda: os.execv(there, [str(there)]),
    "tcp": lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3]))),
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "in a thread": in_a_thread,
    "signal": lambda: os.kill(parent, 0),
    "own signal": lambda: os.kill(os.getpid(), 0),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
}
print(json.dumps([controls, {name: try_to(action) for name, action in tries.items()}]), flush=True)
"""
HARMLESS = {"read", "list", "own memory", "map", "own signal"}
CHANGES = {"write", "append", "create", "folder", "remove", "rename", "link", "symlink", "pipe", "truncate"}
"""What Landlock keeps from happening; it knows no modes, times and owners."""


@pytest.fixture
def available() -> dict[str, bool]:
    """Say which steps this kernel has, told by a process that needs nothing else."""
    code = "import json; from stoat_ferret.media.sandbox import lock_down; print(json.dumps(lock_down(1 << 31)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    steps: dict[str, bool] = json.loads(done.stdout)
    return steps


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def try_all(folder: Path, port: int, left_out: str = "") -> tuple[dict[str, bool], dict[str, str]]:
    (folder / "there").write_bytes(b"#!/bin/true")
    (folder / "there").chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", WAYS_OUT, str(folder), left_out, str(port)], capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    controls, results = json.loads(done.stdout)
    return controls, results


def need(available: dict[str, bool], *steps: str) -> None:
    if lacks := [step for step in steps if not available[step]]:
        pytest.skip(f"the kernel lets no process have: {', '.join(lacks)}")


def messages(process: WorkerProcess, count: int = 1) -> list[bytes]:
    """Wait for so many."""
    found: list[bytes] = []
    while len(found) < count:
        assert readable([process], 30), "no answer came"
        found += process.receive()
    return found


def in_a_thread(action: Callable[[], object]) -> None:
    """Run something that binds the thread for ever, in one that ends."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(action).result()


def test_a_locked_down_process_reads_and_does_nothing_else(
    tmp_path: Path, available: dict[str, bool], listener: int
) -> None:
    """Every other way out is refused, and the process lives on to say so."""
    need(available, "landlock_read_only", "seccomp")
    controls, results = try_all(tmp_path, listener)
    assert set(controls) == set(STEPS)
    assert {name for name, result in results.items() if result == "done"} == HARMLESS
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_each_wall_stands_by_itself(tmp_path: Path, available: dict[str, bool], listener: int) -> None:
    """Where the kernel has only one of the two, or one has a hole."""
    need(available, "landlock_read_only", "seccomp")
    controls, results = try_all(tmp_path, listener, "landlock_read_only,landlock_no_tcp,landlock_isolated")
    assert not controls["landlock_read_only"]
    assert {name for name, result in results.items() if result == "done"} == HARMLESS
    controls, results = try_all(tmp_path, listener, "seccomp")
    assert not controls["seccomp"]
    refused = CHANGES | {"run", "exec"}
    refused |= {"tcp"} if controls["landlock_no_tcp"] else set()
    refused |= {"signal"} if controls["landlock_isolated"] else set()
    assert {name for name, result in results.items() if result == "done"} == set(results) - refused


def test_the_steps_bind_the_thread_that_takes_them(tmp_path: Path, available: dict[str, bool]) -> None:
    """Tried in a thread of this process; the others write and connect on."""
    need(available, "landlock_read_only", "landlock_no_tcp", "seccomp")

    def landlock() -> None:
        sandbox._no_new_privileges()
        sandbox._landlock(files=sandbox._changing_rights())
        with pytest.raises(PermissionError):
            (tmp_path / "new").touch()
        socket.socket().close()

    def filtered() -> None:
        sandbox._no_new_privileges()
        seccomp.restrict()
        with pytest.raises(PermissionError):
            socket.socket()
        with pytest.raises(PermissionError):
            os.fork()
        threading.Thread(target=lambda: None).start()

    in_a_thread(landlock)
    in_a_thread(filtered)
    (tmp_path / "new").touch()
    socket.socket().close()


def test_landlock_that_the_kernel_does_not_know_is_an_error() -> None:
    """As a newer right is on an older kernel; nothing is forbidden in half."""
    with pytest.raises(OSError, match="landlock"):
        sandbox._landlock(files=1 << 63)


def test_all_threads_of_a_probe_process_are_locked_down(tmp_path: Path, available: dict[str, bool]) -> None:
    """Also the one that watches the parent; and a video with sound is examined and pictured all the same."""
    need(available, "seccomp")
    place_clip(tmp_path / "x.mkv", container="mkv", codec="libx265", audio=(AudioTrack(),))
    process = WorkerProcess(2 << 30)
    try:
        process.take_hello(messages(process)[0])
        assert process.sandbox == available
        tasks = Path(f"/proc/{process.process.pid}/task").iterdir()
        states = [(task / "status").read_text() for task in tasks]
        assert len(states) == 2
        for state in states:
            assert "Seccomp:\t2\n" in state
            assert "NoNewPrivs:\t1\n" in state
        path = encode_base64(bytes(tmp_path / "x.mkv"))
        process.send({"kind": "probe", "path": path, "follow_symlink": False})
        assert json.loads(messages(process)[0])["info"]["video_codec"] == "hevc"
        for image_format in ("jpeg", "webp"):
            process.send({"kind": "thumbnail", "path": path, "width": 64, "format": image_format})
            answer, image = messages(process, 2)
            assert json.loads(answer)["error"] is None
            assert image
    finally:
        process.kill()
        process.reaped(10)


def test_a_step_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """And hinders nothing else: it is done as far as the system allows."""

    def refuse(*_args: object) -> None:
        raise OSError("not here")

    class Libc:
        def __init__(self, *_args: object, **_options: object) -> None:
            pass

        def prctl(self, *_args: object) -> int:
            return -1

        def syscall(self, *_args: object) -> int:
            return -1

    done: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, _limit: done.append(kind))
    monkeypatch.setattr(os, "nice", refuse)
    monkeypatch.setattr(ctypes, "CDLL", Libc)
    monkeypatch.setattr(psutil.Process, "ionice", refuse)
    worked = {"memory_limit", "no_core_dump", "log_limit"}
    assert lock_down(1 << 30) == {step: step in worked for step in STEPS}
    assert len(done) == 3


def test_what_is_lacking_is_said_in_words() -> None:
    """What another step gives too is not lacking."""
    everything = dict.fromkeys(STEPS, True)
    assert lacking(everything) == []
    assert lacking(everything | {"landlock_no_tcp": False}) == []
    assert lacking(everything | {"landlock_no_tcp": False, "seccomp": False}) == [
        "no TCP (Landlock)",
        "no sockets, programs, processes or changed files (seccomp)",
    ]
