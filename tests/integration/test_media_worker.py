"""What a probe process does with a task, run in this one."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from stoat_ferret.errors import FileChangedError, UnreadableFileError
from stoat_ferret.media import worker
from stoat_ferret.media.fingerprint import bytes_hashed
from stoat_ferret.media.probe import probe
from stoat_ferret.media.process import REFUSES_STATUS, WORKER_MODULE, WorkerLostError, WorkerProcess
from stoat_ferret.media.source import Source
from stoat_ferret.paths import encode_base64
from tests.media_files import place_clip


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def serve(pipe: tuple[Connection, Connection], path: Path, **task: Any) -> tuple[dict[str, Any], bool]:
    ours, theirs = pipe
    goes_on = worker._serve(
        theirs, {"kind": "probe", "path": encode_base64(bytes(path)), "follow_symlink": False, **task}
    )
    return json.loads(ours.recv_bytes()), goes_on


def first_message(process: WorkerProcess) -> bytes:
    while not (messages := process.receive()):
        time.sleep(0.01)
    return messages[0]


@pytest.mark.parametrize("how", ["written", "replaced", "removed"])
def test_a_file_that_changes_meanwhile(
    pipe: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What was found of the old content is void, and the file is looked at again."""
    path = tmp_path / "x.mp4"
    place_clip(path)
    place_clip(tmp_path / "other.mp4", size=(64, 64))

    def probe_and_change(name: bytes, source: Source) -> Any:
        info = probe(name, source)
        if how == "written":
            with path.open("ab") as file:
                file.write(b"more")
        elif how == "replaced":
            (tmp_path / "other.mp4").replace(path)
        else:
            path.unlink()
        return info

    monkeypatch.setattr("stoat_ferret.media.worker.probe", probe_and_change)
    answer, goes_on = serve(pipe, path)
    assert goes_on
    assert answer["error"]["passing"]
    assert answer["error"]["code"] == (UnreadableFileError.code if how == "removed" else FileChangedError.code)
    if how != "removed":
        assert (answer["info"], answer["fingerprint"]) == (None, None)


def test_a_file_that_becomes_something_else_before_it_is_opened(
    pipe: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked twice: by name, so that a device is never opened, and once open, since names can change."""
    path = tmp_path / "x.mp4"
    place_clip(path)
    real = os.open

    def open_a_pipe_instead(_path: bytes, flags: int) -> int:
        os.mkfifo(tmp_path / "pipe")
        return real(tmp_path / "pipe", flags)

    monkeypatch.setattr(os, "open", open_a_pipe_instead)
    answer, _ = serve(pipe, path)
    assert "not a regular file" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("error", "code", "words", "goes_on"),
    [
        (MemoryError(), "PROBE_CRASHED", "memory", False),
        (RuntimeError("of all things"), "PROBE_FAILED", "RuntimeError: of all things", True),
    ],
)
def test_what_nobody_foresaw_is_an_answer_too(
    pipe: tuple[Connection, Connection],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
    words: str,
    goes_on: bool,
) -> None:
    """The parent is told, and logs the traceback; after running out of memory the process ends."""
    place_clip(tmp_path / "x.mp4")

    def fail(_path: bytes, _source: Source) -> None:
        raise error

    monkeypatch.setattr("stoat_ferret.media.worker.probe", fail)
    answer, went_on = serve(pipe, tmp_path / "x.mp4")
    assert answer["error"]["code"] == code
    assert words in answer["error"]["message"]
    assert went_on is goes_on
    assert ("traceback" in answer) is goes_on


def test_a_process_that_cannot_load_what_it_needs_ends_instead_of_blaming_files(
    pipe: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fail every file it is given, faster than others examine theirs; so another process gets this one."""
    place_clip(tmp_path / "x.mp4")

    def fail(_path: bytes, _source: Source) -> None:
        raise ImportError("failed to map segment from shared object")

    monkeypatch.setattr("stoat_ferret.media.worker.probe", fail)
    with pytest.raises(ImportError):
        serve(pipe, tmp_path / "x.mp4")
    assert not pipe[0].poll()


def test_a_process_short_of_memory_says_nothing_rather_than_half_the_truth(tmp_path: Path) -> None:
    """FFmpeg leaves out, without a word, what it has no memory for; another process then gets the file."""
    path = tmp_path / "x.mp4"
    place_clip(path, size=(1280, 720))
    task = {"kind": "probe", "path": encode_base64(bytes(path)), "follow_symlink": False}
    truth, silent = probe(bytes(path)).to_json(), 0
    for room in range(0, 128, 8):
        process = WorkerProcess(1 << 31)
        try:
            first_message(process)
            limit = psutil.Process(process.process.pid).memory_info().vms + (room << 20)
            resource.prlimit(process.process.pid, resource.RLIMIT_AS, (limit, limit))
            process.send(task)
            answer = json.loads(first_message(process))
        except WorkerLostError:
            silent += 1
        else:
            assert answer["info"] == truth or (answer["error"] or {}).get("code") == "PROBE_CRASHED"
        finally:
            process.kill()
            process.reaped(10)
    assert silent


def test_bytes_read_are_estimated_where_the_kernel_does_not_count(
    pipe: tuple[Connection, Connection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least those of the fingerprint are known."""
    path = tmp_path / "x.mp4"
    place_clip(path)
    answer, _ = serve(pipe, path)
    assert path.stat().st_size <= answer["bytes_read"] < path.stat().st_size + 10_000

    def nothing(_path: Path) -> bytes:
        raise OSError("no /proc here")

    monkeypatch.setattr(Path, "read_bytes", nothing)
    answer, _ = serve(pipe, path)
    assert answer["bytes_read"] == bytes_hashed(path.stat().st_size)
    answer, _ = serve(pipe, tmp_path / "nothing.mp4")
    assert answer["bytes_read"] == 0


def test_an_orphan_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while FFmpeg is stuck in a file: the hang-up is seen by a thread of its own."""
    ended: list[int] = []
    monkeypatch.setattr(worker, "ORPHAN_SECONDS", 0.0)
    monkeypatch.setattr(os, "_exit", ended.append)
    ours, theirs = Pipe()
    ours.close()
    with theirs:
        worker._end_with_parent(theirs.fileno())
    assert ended == [1]


def test_a_process_with_an_unsafe_ffmpeg_never_says_hello() -> None:
    """It ends before it has seen a file, and what it says is what a person is told."""
    code = (
        f"import av; av.ffmpeg_version_info = '8.1.1'; from {WORKER_MODULE} import main; import sys; main(sys.argv[1:])"
    )
    ours, theirs = Pipe()
    with ours, theirs:
        command = [sys.executable, "-c", code, str(theirs.fileno()), str(2 << 30)]
        done = subprocess.run(command, pass_fds=(theirs.fileno(),), capture_output=True, text=True)
        assert done.returncode == REFUSES_STATUS
        assert "FFmpeg 8.1.1 is not safe with unknown files; install FFmpeg 8.1.2 or newer" in done.stderr
        assert not ours.poll()


def test_long_messages_arrive_in_pieces() -> None:
    """A process is read without waiting, and its messages are put together as they come."""
    process = WorkerProcess(1 << 30)
    try:
        messages: list[bytes] = []
        while not messages:
            messages = process.receive()
            time.sleep(0.01)
        process.take_hello(messages[0])
        assert process.ready
        process.send({"kind": "probe", "path": encode_base64(b"/nowhere/x.mp4"), "follow_symlink": False})
        messages = []
        while not messages:
            messages = process.receive()
            time.sleep(0.01)
        assert json.loads(messages[0])["error"]["code"] == UnreadableFileError.code
        process._received += (3).to_bytes(4, "big") + b"ab"
        assert process.receive() == []
        process._received += b"c" + (-1).to_bytes(4, "big", signed=True) + (1).to_bytes(8, "big") + b"d"
        assert process.receive() == [b"abc", b"d"]
        process.process.kill()
        process.process.wait()
        with pytest.raises(WorkerLostError):
            process.receive()
        with pytest.raises(WorkerLostError):
            process.send({"more": "x"})
    finally:
        process.kill()
        assert process.reaped(5)
