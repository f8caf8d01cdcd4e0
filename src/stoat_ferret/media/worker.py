"""What runs inside one probe process: `python -m stoat_ferret.media.worker FD MEMORY_LIMIT_BYTES [WITHOUT]`.

It reads files that anybody may have made, so it is meant to be killed, and trusted with little. Messages on the pipe
are those of `multiprocessing.connection` (`send_bytes`: a length, then that many bytes) and hold JSON, never pickles.
The first is a hello that says what of the lock-down worked; then each task gets one answer, a thumbnail's followed by
the image's bytes as a second message. The process ends when the pipe does. WITHOUT names steps of the lock-down, joined
by commas, that are left out; only tests do that.
"""

import contextlib
import json
import os
import resource
import select
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from stoat_ferret.errors import (
    FileChangedError,
    MediaError,
    NotMediaError,
    ProbeCrashedError,
    StoatError,
    UnreadableFileError,
    UnsupportedMediaLibraryError,
)
from stoat_ferret.fork_server import name_this_process
from stoat_ferret.media.fingerprint import bytes_hashed, fingerprint
from stoat_ferret.media.frames import ImageFormat, thumbnail
from stoat_ferret.media.probe import probe, require_safe_versions
from stoat_ferret.media.process import REFUSES_STATUS
from stoat_ferret.media.sandbox import lock_down
from stoat_ferret.media.source import Source, unreadable
from stoat_ferret.media.wholeness import is_cut_short
from stoat_ferret.paths import decode_base64
from stoat_ferret.statx import birth_ns

ORPHAN_SECONDS = 5.0
"""How long the process outlives its parent while a file keeps it busy."""
ROOM_BYTES = 64 * 1024 * 1024
"""How far from its memory limit a process must have stayed for its answer to be believed: more than is asked for at a
time, so that nothing can have been refused."""
TOO_MUCH = "Examining the file needs more memory than one file may have."

_MOST_PROC_BYTES = 16 * 1024

Json = dict[str, Any]

_proc_files: dict[str, int] = {}
"""Descriptors of what is asked for with every task, by name: to open them took a tenth of what a small file takes."""


def main(arguments: list[str]) -> None:
    """Serve the pipe whose descriptor is the first argument, until it ends."""
    name_this_process("stoat-probe")
    # Ctrl-C and a service manager's stop reach the whole group; what to do about them is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe = Connection(int(arguments[0]))
    for name in ("io", "status"):
        with contextlib.suppress(OSError):
            _proc_files[name] = os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        require_safe_versions()
    except UnsupportedMediaLibraryError as error:
        sys.stderr.write(error.message + "\n")
        sys.exit(REFUSES_STATUS)
    controls = lock_down(int(arguments[1]), leave_out=arguments[2].split(",") if len(arguments) > 2 else ())
    threading.Thread(target=_end_with_parent, args=(pipe.fileno(),), daemon=True).start()  # locked down like this one
    with contextlib.suppress(EOFError, ConnectionError):
        _send(pipe, {"hello": controls, "pid": os.getpid()})
        while _serve(pipe, json.loads(pipe.recv_bytes())):
            pass


def _end_with_parent(descriptor: int) -> None:
    """End the process soon after the parent's end of the pipe is gone, even while FFmpeg is stuck in a file.

    PR_SET_PDEATHSIG would not do: it fires when the *thread* that started the process ends, and a server's threads
    come and go.
    """
    poll = select.poll()
    poll.register(descriptor, 0)  # hang-up is always reported
    poll.poll()
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _send(pipe: Connection, message: Json) -> None:
    # What files say of themselves may hold halves of surrogate pairs, which no reader of JSON has to take.
    pipe.send_bytes(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))


def _serve(pipe: Connection, task: Json) -> bool:
    """Do one task and answer it; False if the process had better end."""
    if _is_short_of_memory():
        msg = "no memory is left to examine a file with"  # no fault of this one: another process gets it
        raise RuntimeError(msg)
    began, read_before = time.monotonic(), _bytes_read_so_far()
    answer: Json = {"stat": None, "fingerprint": None, "info": None, "image": False, "error": None, "retiring": False}
    image = b""
    try:
        path = decode_base64(task["path"])
        if task["kind"] == "thumbnail":
            image = _depict(path, task, answer)
        else:
            _examine(path, bool(task["follow_symlink"]), answer)
    except StoatError as error:
        answer["error"] = _failure(error)
    except MemoryError:
        answer["error"] = _failure(ProbeCrashedError(TOO_MUCH))
        answer["retiring"] = True
    except ImportError:
        # Part of the media library could not be loaded, whatever the file. A process that answered so would fail all
        # that it is given, faster than others examine theirs: it ends, and the file goes to another one.
        raise
    except Exception as error:  # noqa: BLE001 - the border: whatever a file does to us is an answer, and is logged there
        answer["error"] = _failure(MediaError(f"{type(error).__name__}: {error}"))
        answer["traceback"] = traceback.format_exc(limit=-8)
    if _is_short_of_memory() and not answer["retiring"]:
        answer |= {"info": None, "image": False, "error": _failure(ProbeCrashedError(TOO_MUCH)), "retiring": True}
    read_after = _bytes_read_so_far()
    if read_before is not None and read_after is not None:
        answer["bytes_read"] = max(0, read_after - read_before)
    else:
        answer["bytes_read"] = bytes_hashed(answer["stat"]["size"]) if answer["fingerprint"] else 0
    answer["seconds"] = time.monotonic() - began
    _send(pipe, answer)
    if answer["image"]:
        pipe.send_bytes(image)
    return not answer["retiring"]


def _is_short_of_memory() -> bool:
    """Tell whether memory was short: FFmpeg then leaves out what it had no room to look at, and says nothing."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    peak = _most_address_space()
    return limit != resource.RLIM_INFINITY and peak is not None and peak + ROOM_BYTES > limit


def _said_of_itself(name: str) -> bytes:
    """Give what the kernel says of this process now.

    Raises:
        OSError: it says nothing.
    """
    if name in _proc_files:
        return os.pread(_proc_files[name], _MOST_PROC_BYTES, 0)
    return Path("/proc/self", name).read_bytes()


def _most_address_space() -> int | None:
    """Give the most bytes of address space that the process ever had; None where the kernel does not say."""
    try:
        status = _said_of_itself("status")
        return int(status.partition(b"VmPeak:")[2].split(maxsplit=1)[0]) << 10
    except (OSError, ValueError, IndexError):
        return None


def _failure(error: StoatError) -> Json:
    return {"code": error.code, "message": error.message, "passing": isinstance(error, MediaError) and error.passing}


def _examine(path: bytes, follow_symlink: bool, answer: Json) -> None:
    """Fill the answer with the file's state, fingerprint and media facts, all of one and the same content.

    Raises:
        FileChangedError: it was written to, or replaced, meanwhile; whatever else was found is void.
    """
    with _reading(), _open_file(path, follow_symlink) as descriptor:
        before = _state(os.fstat(descriptor))
        answer["stat"] = {**before, "birth_ns": birth_ns(descriptor)}
        try:
            source = Source(descriptor, path, before["size"])
            answer["fingerprint"] = fingerprint(source)
            answer["info"] = probe(path, source).to_json()
            answer["cut_short"] = is_cut_short(source)
        finally:
            by_name = os.stat(path, follow_symlinks=follow_symlink)  # noqa: PTH116 - a path of bytes
            if _state(os.fstat(descriptor)) != before or _state(by_name) != before:
                answer["info"] = answer["fingerprint"] = None
                raise FileChangedError("The file changed while it was being read; it is probably still being written.")


def _depict(path: bytes, task: Json, answer: Json) -> bytes:
    """Give a picture of the file, and put into the answer that there is one, and the state that the file has."""
    with _reading(), _open_file(path, bool(task.get("follow_symlink", True))) as descriptor:
        answer["stat"] = _state(os.fstat(descriptor))
        source = Source(descriptor, path)
        image = thumbnail(path, int(task["width"]), cast("ImageFormat", task["format"]), source)
    answer["image"] = True
    return image


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turn what the file system says into what the scan understands."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableFileError("The file is no longer there.") from error
    except OSError as error:
        raise unreadable(error) from error


@contextlib.contextmanager
def _open_file(path: bytes, follow_symlink: bool) -> Iterator[int]:
    """Open a regular file. Anything else is refused unopened: opening a device or a pipe can block, or do things."""
    _require_regular(os.stat(path, follow_symlinks=follow_symlink))  # noqa: PTH116 - a path of bytes
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow_symlink else os.O_NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        _require_regular(os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotMediaError("This is not a regular file but a folder, link, device, pipe or socket.")


def _state(status: os.stat_result) -> dict[str, int]:
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "inode": status.st_ino,
        "device": status.st_dev,
    }


def _bytes_read_so_far() -> int | None:
    """Give the bytes this process has read by system calls; None where the kernel does not count them."""
    try:
        first_line = _said_of_itself("io").split(b"\n", 1)[0]
        return int(first_line.removeprefix(b"rchar: "))
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
