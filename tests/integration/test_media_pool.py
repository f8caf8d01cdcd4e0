"""Probe processes: killed, hung, starved, lied to; every task still has exactly one outcome."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stoat_ferret.errors import (
    ConfigurationError,
    IncompleteFileError,
    MediaError,
    NoPictureError,
    NotMediaError,
    NoVideoStreamError,
    ProbeCrashedError,
    ProbeTimeoutError,
    UnreadableFileError,
)
from stoat_ferret.fork_server import UNKNOWN_STATUS
from stoat_ferret.media import grabber as grabber_module
from stoat_ferret.media import process as process_module
from stoat_ferret.media.pool import FrameGrabber, PictureWish, ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.media.process import WorkerLostError, WorkerProcess
from stoat_ferret.media.worker import ROOM_BYTES
from tests.media_files import clip_file, place_clip, stream_without_picture, truncate
from tests.probe_processes import probe_processes, without_forks

FAKE_WORKER = """
import json, os, sys, time
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
def send(value):
    pipe.send_bytes(json.dumps(value).encode())
def hello():
    send({"hello": {"fake": True}})
"""


def drain(pool: ProbePool, tasks: list[ProbeTask], seconds: float = 20.0) -> list[ProbeOutcome]:
    """Submit all and wait for all."""
    left, outcomes = list(tasks), []
    until = time.monotonic() + seconds
    while (left or pool.outstanding) and time.monotonic() < until:
        while left and pool.room:
            pool.submit(left.pop(0))
        outcomes += pool.wait(0.2)
    assert sorted(outcome.task.key for outcome in outcomes) == sorted(task.key for task in tasks)
    return sorted(outcomes, key=lambda outcome: outcome.task.key)


def until_true(condition: Callable[[], object], seconds: float = 10.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process, no zombie and no descriptor outlives its owner."""
    clip_file()
    children = {child.pid for child in psutil.Process().children()}
    descriptors = set(os.listdir("/proc/self/fd"))
    yield
    until_true(lambda: {child.pid for child in psutil.Process().children()} <= children)
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors)


@pytest.fixture
def fake_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run other code in the place of the worker: what a process that was taken over might do."""

    def install(code: str) -> None:
        (tmp_path / "fake_media_worker.py").write_text(FAKE_WORKER + code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(process_module, "WORKER_MODULE", "fake_media_worker")
        without_forks(monkeypatch)

    return install


def test_every_file_has_its_outcome(tmp_path: Path) -> None:
    """Videos are described; everything else is refused for a reason of its own."""
    place_clip(tmp_path / "good.mp4")
    place_clip(tmp_path / "cut.mp4", fast_start=False)
    truncate(tmp_path / "cut.mp4", 0.5)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "garbage.mp4").write_bytes(b"garbage" * 1000)
    stream_without_picture(tmp_path / "sound.m4a")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to("good.mp4")
    codes = {
        "good.mp4": None,
        "cut.mp4": IncompleteFileError.code,
        "empty.mp4": IncompleteFileError.code,
        "garbage.mp4": NotMediaError.code,
        "sound.m4a": NoVideoStreamError.code,
        "pipe.mp4": NotMediaError.code,
        "folder.mp4": NotMediaError.code,
        "link.mp4": NotMediaError.code,
        "nothing.mp4": UnreadableFileError.code,
    }
    tasks = [ProbeTask(key, bytes(tmp_path / name)) for key, name in enumerate(codes)]
    with ProbePool(workers=2) as pool:
        outcomes = drain(pool, tasks)
        sandbox, restarts = pool.sandbox, pool.restarts
    found = {Path(os.fsdecode(o.task.path)).name: o.error.code if o.error else None for o in outcomes}
    assert found == codes
    assert restarts == 0
    assert sandbox["no_new_privileges"]
    assert sandbox["memory_limit"]
    good = outcomes[0]
    status = (tmp_path / "good.mp4").stat()
    assert good.stat is not None
    assert (good.stat.size, good.stat.mtime_ns, good.stat.inode, good.stat.device) == (
        status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev,
    )  # fmt: skip
    assert good.info is not None
    assert good.info.width == 160
    assert good.fingerprint is not None
    assert len(good.fingerprint) == 32
    assert good.bytes_read >= status.st_size
    assert good.seconds > 0
    assert outcomes[-1].error is not None
    assert outcomes[-1].error.passing
    assert outcomes[3].fingerprint, "a file that is no video is recognised again too"


def test_a_link_is_followed_when_asked(tmp_path: Path) -> None:
    """The scan decides, not the pool; a loop is an unreadable file."""
    place_clip(tmp_path / "good.mp4")
    (tmp_path / "link.mp4").symlink_to("good.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    names = ("link.mp4", "loop.mp4")
    tasks = [ProbeTask(key, bytes(tmp_path / name), follow_symlink=True) for key, name in enumerate(names)]
    with ProbePool(workers=1) as pool:
        good, loop = drain(pool, tasks)
    assert good.info is not None
    assert loop.error is not None
    assert loop.error.code == UnreadableFileError.code


def test_room_is_bounded() -> None:
    """What is submitted beyond it is refused, and a closed pool takes nothing."""
    path = bytes(clip_file())
    pool = ProbePool(workers=1, queue_depth=2)
    try:
        assert pool.room == 2
        assert pool.in_flight == []
        pool.submit(ProbeTask(1, path))
        pool.submit(ProbeTask(2, path))
        assert (pool.room, pool.outstanding) == (0, 2)
        with pytest.raises(RuntimeError, match="no room"):
            pool.submit(ProbeTask(3, path))
        while pool.outstanding:
            pool.wait(5)
        assert pool.wait(0.01) == []
        pool.submit(ProbeTask(4, path))
        assert [task.key for task in pool.in_flight] == [4]
    finally:
        pool.close()
    pool.close()
    assert pool.wait(0.01) == []
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(ProbeTask(5, path))


def test_numbers_that_make_no_sense_are_refused() -> None:
    """Before any process is started."""
    with pytest.raises(ValueError, match="positive"):
        ProbePool(workers=0)


def started(pool: ProbePool) -> None:
    """Wait until all processes have said hello."""
    processes = [*(seat.worker for seat in pool._seats), pool._spare]
    until_true(lambda: pool.wait(0.02) == [] and all(process.ready for process in processes))


@pytest.mark.parametrize("at_work", [1, 2])
def test_a_killed_process_loses_no_task(at_work: int) -> None:
    """The file in hand is tried again, the others go elsewhere, and nobody is blamed for an accident."""
    tasks = [ProbeTask(key, bytes(clip_file())) for key in range(20)]
    with ProbePool(workers=at_work) as pool:
        started(pool)
        for seat in pool._seats:
            os.kill(seat.worker.process.pid, signal.SIGSTOP)
        for task in tasks[: pool.room]:
            pool.submit(task)
        assert len(pool.in_flight) == at_work
        assert pool.wait(0.05) == []
        rest = tasks[pool.outstanding :]
        for seat in pool._seats:
            os.kill(seat.worker.process.pid, signal.SIGKILL)
        outcomes = []
        while pool.outstanding or rest:
            while rest and pool.room:
                pool.submit(rest.pop())
            outcomes += pool.wait(0.2)
        assert sorted(outcome.task.key for outcome in outcomes) == list(range(20))
        assert all(outcome.error is None for outcome in outcomes)
        assert pool.restarts == at_work


def test_processes_are_forked_of_one_that_has_loaded_the_library() -> None:
    """So the second and third are there within milliseconds, share memory, and end in ways that can be told."""
    with ProbePool(workers=2) as pool:
        started(pool)
        found = probe_processes()
        assert len(found) == 3
        (server,) = {process.ppid() for process in found}
        assert server != os.getpid()
        assert psutil.Process(server).ppid() == os.getpid()
        assert len({os.getpgid(process.pid) for process in found} - {os.getpgid(server), os.getpgid(0)}) == 3
        first, second = (seat.worker for seat in pool._seats)
        os.kill(first.process.pid, signal.SIGSEGV)
        os.kill(second.process.pid, signal.SIGKILL)
        assert first.process.wait(5) == first.process.poll() == -signal.SIGSEGV
        assert second.process.wait(5) == -signal.SIGKILL
        first.kill()  # nobody else is hit


def test_the_server_that_forks_may_be_killed() -> None:
    """Those it had forked go on; those that are needed later are forked by another one."""
    with ProbePool(workers=1) as pool:
        started(pool)
        assert pool._forks is not None
        server, seat = pool._forks.pid, pool._seats[0].worker.process
        assert server is not None
        os.kill(server, signal.SIGKILL)
        assert drain(pool, [ProbeTask(1, bytes(clip_file()))])[0].error is None
        assert pool._seats[0].worker.process is seat
        seat.kill()
        assert seat.wait(5) == UNKNOWN_STATUS
        assert drain(pool, [ProbeTask(1, bytes(clip_file()))])[0].error is None
        assert pool._forks.pid != server
        pool._seats[0].worker.process.kill()
        assert drain(pool, [ProbeTask(1, bytes(clip_file()))])[0].error is None
        assert pool.restarts == 2


def test_a_server_that_is_killed_before_it_forks_costs_a_fresh_start() -> None:
    """What was asked of it never came to be; that is no error of any file."""
    with ProbePool(workers=1) as pool:
        assert pool._forks is not None
        assert pool._forks.pid is not None
        os.kill(pool._forks.pid, signal.SIGKILL)
        assert drain(pool, [ProbeTask(1, bytes(clip_file()))])[0].error is None


@pytest.mark.parametrize("length", [450, 700, 1500, 3900])
def test_long_paths_fill_no_pipe(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """What Linux grants a pipe by default holds fewer of them than of others; no process is lost over that."""
    monkeypatch.setattr(process_module, "PIPE_BYTES", 212_992)
    path = b"/" + b"/".join([b"x" * 200] * (length // 201))
    with ProbePool(workers=2) as pool:
        outcomes = drain(pool, [ProbeTask(key, path + b"/%d" % key) for key in range(600)])
        assert pool.restarts == 0
    assert {outcome.error and outcome.error.code for outcome in outcomes} == {UnreadableFileError.code}


def test_without_forks_each_process_is_started_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems that cannot do this."""
    without_forks(monkeypatch)
    with ProbePool(workers=1) as pool:
        started(pool)
        assert {process.ppid() for process in probe_processes()} == {os.getpid()}
        assert drain(pool, [ProbeTask(1, bytes(clip_file()))])[0].error is None


def test_killing_idle_processes_costs_nothing() -> None:
    """Spare and idle ones are replaced before anyone notices, or at the next task."""
    with ProbePool(workers=1) as pool:
        started(pool)
        for process in (pool._seats[0].worker, pool._spare):
            os.kill(process.process.pid, signal.SIGKILL)
            process.process.wait()
        (outcome,) = drain(pool, [ProbeTask(1, bytes(clip_file()))])
        assert outcome.error is None
        assert pool.restarts >= 1


def test_a_hanging_process_is_killed_at_the_deadline() -> None:
    """Once: the file is tried again. Twice: that is its outcome, and the pool goes on."""
    with ProbePool(workers=1, deadline_seconds=0.4) as pool:
        started(pool)
        os.kill(pool._seats[0].worker.process.pid, signal.SIGSTOP)
        (outcome,) = drain(pool, [ProbeTask(1, bytes(clip_file()))])
        assert outcome.error is None
        assert pool.restarts == 1
        started(pool)
        os.kill(pool._seats[0].worker.process.pid, signal.SIGSTOP)
        os.kill(pool._spare.process.pid, signal.SIGSTOP)
        hung, good = drain(pool, [ProbeTask(1, bytes(clip_file())), ProbeTask(2, bytes(clip_file()))])
        assert hung.error is not None
        assert hung.error.code == ProbeTimeoutError.code
        assert "0.4 seconds" in hung.error.message
        assert not hung.error.passing
        assert good.error is None


BY_NAME = """
import base64, signal
hello()
while True:
    try:
        task = json.loads(pipe.recv_bytes())
    except EOFError:
        break
    name = base64.b64decode(task["path"])
    if b"crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"abort" in name:
        os._exit(3)
    if b"realtime" in name:
        os.kill(os.getpid(), 40)
    if b"hang" in name:
        time.sleep(60)
    if b"halfway" in name:
        os.write(pipe.fileno(), bytes([0, 0, 1, 0]))
        time.sleep(60)
    if b"endless" in name:
        os.write(pipe.fileno(), bytes([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]))
        time.sleep(60)
    if b"array" in name:
        send([1])
        continue
    if b"shape" in name:
        send({"error": None, "info": {"container": 1}})
        continue
    if b"noise" in name:
        pipe.send_bytes(b"{" * 5000)
        continue
    if b"closes" in name:
        pipe.close()
        time.sleep(60)
    if b"chatty" in name:
        send({"error": None, "info": None, "fingerprint": "00", "stat": None, "bytes_read": 0, "seconds": 0})
    send({"error": None, "info": None, "fingerprint": "00", "stat": None, "bytes_read": 0, "seconds": 0.0,
          "image": False})
"""


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("crash", ProbeCrashedError.code, "SIGSEGV"),
        ("abort", ProbeCrashedError.code, "status 3"),
        ("realtime", ProbeCrashedError.code, "signal 40"),
        ("hang", ProbeTimeoutError.code, "1 seconds"),
        ("halfway", ProbeTimeoutError.code, "twice"),
        ("endless", ProbeCrashedError.code, "no proper answer"),
        ("array", ProbeCrashedError.code, "no proper answer"),
        ("shape", ProbeCrashedError.code, "no proper answer"),
        ("noise", ProbeCrashedError.code, "no proper answer"),
        ("closes", ProbeCrashedError.code, "closed its pipe"),
    ],
)
def test_the_guilty_file_is_found_and_the_others_go_free(
    fake_worker: Callable[[str], None], name: str, code: str, words: str
) -> None:
    """Whatever a process does after a file got hold of it: that file fails, by name of the cause, and no other."""
    fake_worker(BY_NAME)
    names = ["good"] * 3 + [name] + ["good"] * 8
    tasks = [ProbeTask(key, f"/{word}".encode()) for key, word in enumerate(names)]
    with ProbePool(workers=2, deadline_seconds=1.0) as pool:
        outcomes = drain(pool, tasks)
        assert pool.sandbox == {"fake": True}
    failures = {outcome.task.key: outcome.error for outcome in outcomes if outcome.error}
    assert list(failures) == [3]
    failure = failures[3]
    assert failure is not None
    assert failure.code == code
    assert words in failure.message
    assert not failure.passing


def test_an_answer_to_no_question_ends_the_process(fake_worker: Callable[[str], None]) -> None:
    """A process that says more than it was asked is not trusted with what it says next."""
    fake_worker(BY_NAME)
    with ProbePool(workers=1, queue_depth=1) as pool:
        first = drain(pool, [ProbeTask(1, b"/chatty")])
        until_true(lambda: pool.wait(0.05) == [] and pool.restarts == 1)
        second = drain(pool, [ProbeTask(2, b"/good")])
    assert first[0].error is None
    assert second[0].error is None


def test_processes_that_cannot_start_are_no_endless_loop(fake_worker: Callable[[str], None]) -> None:
    """Three tries, then an error with what they wrote."""
    fake_worker("raise ImportError('libavcodec is missing')")
    with ProbePool(workers=1) as pool:
        pool.submit(ProbeTask(1, b"/good"))
        with pytest.raises(ConfigurationError, match="libavcodec is missing"):
            until_true(lambda: pool.wait(0.5))


@pytest.mark.parametrize("code", ["send({'hello': 1})", "send({})", "pass"])
def test_a_process_without_a_proper_hello_does_not_start(fake_worker: Callable[[str], None], code: str) -> None:
    """The first message is the hello."""
    fake_worker(code)
    with ProbePool(workers=1) as pool, pytest.raises(ConfigurationError, match="3 tries"):
        until_true(lambda: pool.wait(0.5))


def test_a_process_that_is_slow_to_start_is_given_up(
    fake_worker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang while importing from a dead network mount."""
    fake_worker("time.sleep(60)")
    monkeypatch.setattr("stoat_ferret.media.pool.START_SECONDS", 0.2)
    with ProbePool(workers=1) as pool, pytest.raises(ConfigurationError):
        until_true(lambda: pool.wait(0.5))


def most_address_space(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmPeak:")[2].split()[0]) << 10


def test_a_process_that_needs_too_much_memory_is_stopped(tmp_path: Path) -> None:
    """A limit below what a large picture takes is an outcome of that file, and its process is replaced."""
    place_clip(tmp_path / "large.ts", container="ts", size=(8192, 4320), frames=1, codec="libx265", hdr="hdr10")
    place_clip(tmp_path / "small.mp4")
    tasks = [ProbeTask(key, bytes(tmp_path / name)) for key, name in enumerate(["large.ts"] + ["small.mp4"] * 3)]
    with ProbePool(workers=1) as pool:
        drain(pool, tasks[1:])
        used = most_address_space(pool._seats[0].worker.process.pid)
    with ProbePool(workers=1, memory_limit_bytes=used + ROOM_BYTES + (8 << 20)) as pool:
        large, *small = drain(pool, tasks)
        assert pool.restarts == 1
    assert [outcome.error for outcome in small] == [None, None, None]
    assert large.error is not None
    assert large.error.code == ProbeCrashedError.code
    assert "memory" in large.error.message
    assert not large.error.passing


def test_a_task_that_cannot_be_sent_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process died after its last answer, or takes nothing any more."""
    tasks = [ProbeTask(key, bytes(clip_file())) for key in range(6)]
    real, failures = WorkerProcess.send, [True, False, True]

    def send(self: WorkerProcess, message: dict[str, Any]) -> None:
        if failures and failures.pop(0):
            raise WorkerLostError("broken pipe")
        real(self, message)

    monkeypatch.setattr(WorkerProcess, "send", send)
    with ProbePool(workers=1) as pool:
        assert all(outcome.error is None for outcome in drain(pool, tasks))
        assert pool.restarts == 2


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    """Killed without a chance to clean up, the parent leaves nothing behind."""
    code = (
        "import sys, time\n"
        "from stoat_ferret.media.pool import ProbePool\n"
        "pool = ProbePool(workers=1)\n"
        "while not pool._spare.ready: pool.wait(0.05)\n"
        "print(pool._seats[0].worker.process.pid, pool._spare.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    until_true(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_thumbnails_from_many_threads() -> None:
    """One at a time, each its own."""
    with FrameGrabber() as grabber:
        widths = [16, 32, 48, 64]
        pictures: dict[int, bytes] = {}

        def grab(width: int) -> None:
            pictures[width] = grabber.thumbnail(bytes(clip_file()), width, "jpeg", 20)

        threads = [threading.Thread(target=grab, args=(width,)) for width in widths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(pictures) == widths
        assert len(set(pictures.values())) == 4
        assert grabber.thumbnail(bytes(clip_file()), 16, "webp", 20).startswith(b"RIFF")
        assert grabber.sandbox["memory_limit"]
        assert len(probe_processes()) == 1


def test_a_thumbnail_that_cannot_be_made_is_an_error_by_name(tmp_path: Path) -> None:
    """The API tells the reader why; the process goes on."""
    stream_without_picture(tmp_path / "sound.m4a")
    os.mkfifo(tmp_path / "pipe.mp4")
    with FrameGrabber() as grabber:
        with pytest.raises(NoPictureError):
            grabber.thumbnail(bytes(tmp_path / "sound.m4a"), 64, "jpeg", 20)
        (process,) = probe_processes()
        with pytest.raises(UnreadableFileError, match="no longer there"):
            grabber.thumbnail(bytes(tmp_path / "nothing.mp4"), 64, "jpeg", 20)
        with pytest.raises(NotMediaError, match="regular file"):
            grabber.thumbnail(bytes(tmp_path / "pipe.mp4"), 64, "jpeg", 20)
        with pytest.raises(ValueError, match="width"):
            grabber.thumbnail(bytes(clip_file()), 0, "jpeg", 20)
        with pytest.raises(MediaError, match="KeyError"):
            grabber.thumbnail(bytes(clip_file()), 64, "bmp", 20)  # type: ignore[arg-type]  # what types cannot stop
        assert grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        assert probe_processes() == [process]


def test_a_thumbnail_process_that_dies_is_started_again() -> None:
    """Killed while idle or at work, nobody notices but for the time it takes."""
    with FrameGrabber() as grabber:
        grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        (first,) = probe_processes()
        first.kill()
        until_true(lambda: not probe_processes())
        assert grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        (second,) = probe_processes()
        second.suspend()
        timer = threading.Timer(0.3, second.kill)
        timer.start()
        assert grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        timer.join()


def test_a_film_that_kills_the_thumbnail_process_is_an_error(fake_worker: Callable[[str], None]) -> None:
    """Tried with a new process, lest an older one had died of something else."""
    fake_worker(BY_NAME)
    with FrameGrabber() as grabber:
        for _ in range(2):
            with pytest.raises(ProbeCrashedError, match="SIGSEGV"):
                grabber.thumbnail(b"/crash", 64, "jpeg", 20)
        with pytest.raises(ProbeTimeoutError, match="too long"):
            grabber.thumbnail(b"/hang", 64, "jpeg", 0.5)


def test_a_thumbnail_has_a_deadline() -> None:
    """Its own work and the wait for others included; the process is replaced."""
    with FrameGrabber() as grabber:
        grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        (process,) = probe_processes()
        process.suspend()
        errors: list[BaseException] = []

        def grab() -> None:
            try:
                grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 0.8)
            except ProbeTimeoutError as error:
                errors.append(error)

        slow = threading.Thread(target=grab)
        slow.start()
        time.sleep(0.2)
        with pytest.raises(ProbeTimeoutError, match="wait too long"):
            grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 0.2)
        slow.join()
        assert len(errors) == 1
        assert grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        assert probe_processes() != [process]


def test_a_thumbnail_process_that_cannot_start(fake_worker: Callable[[str], None]) -> None:
    """The error holds what it wrote."""
    fake_worker("raise ImportError('libavcodec is missing')")
    with FrameGrabber() as grabber, pytest.raises(ConfigurationError, match="libavcodec is missing"):
        grabber.thumbnail(b"/x", 64, "jpeg", 20)


def test_the_thumbnail_process_can_be_checked() -> None:
    """It is started for that, and says what of its lock-down works; one that is busy has no time."""
    with FrameGrabber() as grabber:
        assert grabber.check(20)["memory_limit"]
        assert len(probe_processes()) == 1
        with grabber._lock, pytest.raises(ProbeTimeoutError, match="busy"):
            grabber.check(0.05)


def test_a_thumbnail_process_that_retires_or_lies(fake_worker: Callable[[str], None]) -> None:
    """It is replaced, and the caller told."""
    fake_worker(
        "hello()\n"
        "task = json.loads(pipe.recv_bytes())\n"
        "if task['width'] == 1:\n"
        "    send({'error': {'code': 'PROBE_CRASHED', 'message': 'memory'}, 'retiring': True})\n"
        "else:\n"
        "    send({'error': {}})\n"
    )
    with FrameGrabber() as grabber:
        with pytest.raises(ProbeCrashedError, match="memory"):
            grabber.thumbnail(b"/x", 1, "jpeg", 20)
        with pytest.raises(ProbeCrashedError, match="ended the process"):
            grabber.thumbnail(b"/x", 2, "jpeg", 20)


def test_pictures_come_from_a_pool_too(tmp_path: Path) -> None:
    """Beside other tasks, each with the state that its file had; what has no picture says so."""
    place_clip(tmp_path / "good.mp4")
    stream_without_picture(tmp_path / "sound.m4a")
    (tmp_path / "link.mp4").symlink_to("good.mp4")
    wish = PictureWish(64, "webp")
    files = ["good.mp4", "sound.m4a", "link.mp4", "nothing.mp4"]
    tasks = [ProbeTask(key, bytes(tmp_path / name), picture=wish) for key, name in enumerate(files)]
    tasks.append(ProbeTask(4, bytes(tmp_path / "link.mp4"), follow_symlink=True, picture=PictureWish(64, "jpeg")))
    tasks.append(ProbeTask(5, bytes(tmp_path / "good.mp4")))
    with ProbePool(workers=2) as pool:
        good, sound, link, nothing, followed, probed = drain(pool, tasks)
    assert good.image is not None
    assert good.image.startswith(b"RIFF")
    assert good.stat is not None
    assert (good.stat.size, good.stat.mtime_ns) == (
        (tmp_path / "good.mp4").stat().st_size,
        (tmp_path / "good.mp4").stat().st_mtime_ns,
    )
    assert good.bytes_read > 0
    codes = [outcome.error and outcome.error.code for outcome in (sound, link, nothing)]
    assert codes == [NoPictureError.code, NotMediaError.code, UnreadableFileError.code]
    assert followed.image is not None
    assert followed.image.startswith(b"\xff\xd8")
    assert (probed.image, probed.info is None) == (None, False)


@pytest.mark.parametrize(
    "lie",
    [
        "send(answer | {'image': True}); pipe.send_bytes(b'x' * (9 << 20))",
        "send(answer)",
        "send(answer | {'image': True, 'error': dict(code='', message='', passing=False)}); pipe.send_bytes(b'')",
        "send(answer | {'image': True}); sys.exit(3)",
    ],
    ids=["too large", "none", "beside an error", "half an answer"],
)
def test_a_process_that_lies_about_a_picture_is_replaced(fake_worker: Callable[[str], None], lie: str) -> None:
    """The file is tried twice, and then has an outcome."""
    fake_worker(
        "hello()\n"
        "json.loads(pipe.recv_bytes())\n"
        "answer = dict.fromkeys(('info', 'fingerprint', 'stat', 'error')) | {'bytes_read': 0, 'seconds': 0.1}\n"
        f"{lie}\n"
        "pipe.recv_bytes()\n"
    )
    with ProbePool(workers=1) as pool:
        [outcome] = drain(pool, [ProbeTask(0, b"/x", picture=PictureWish(64, "webp"))])
        assert pool.restarts == 2
    assert outcome.error is not None
    assert outcome.error.code == ProbeCrashedError.code


def test_closing_kills_a_thumbnail_process_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while."""
    monkeypatch.setattr(grabber_module, "CLOSE_SECONDS", 0.2)
    with FrameGrabber() as grabber:
        grabber.thumbnail(bytes(clip_file()), 64, "jpeg", 20)
        (process,) = probe_processes()
        process.suspend()
    until_true(lambda: not probe_processes())


def test_closing_kills_probe_processes_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle ones get a moment to end by themselves."""
    monkeypatch.setattr("stoat_ferret.media.pool.CLOSE_SECONDS", 0.3)
    with ProbePool(workers=1) as pool:
        started(pool)
        for process in probe_processes():
            process.suspend()
    assert not probe_processes()
