"""A folder shown once more, read-only, through FUSE: as slow as is wished, and with a record of all that is read.

The program that is measured notices nothing: it opens and reads ordinary files. The kernel asks this process for what
its page cache does not hold, so that each fresh mirror is a disk with a cold cache. Speaks the kernel's protocol itself
(`linux/fuse.h`), which spares a dependency.
"""

import array
import errno
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

THREADS = 16
"""Requests answered at the same time."""
_LARGEST_READ = 128 * 1024
"""Bytes of one request, as the kernel asks disks for them too."""
_BUFFER = _LARGEST_READ + 8192
_ASYNC_READ, _PARALLEL_FOLDERS, _MAX_PAGES = 1 << 0, 1 << 18, 1 << 22
_DIRECT, _KEEP_CACHE = 1, 2
_IN, _OUT = struct.Struct("=IIQQIIIHH"), struct.Struct("=IiQ")
_READ_IN = struct.Struct("=QQI")
_FOREVER = 1 << 30
_NO_ANSWER = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET


@dataclass(slots=True)
class Traffic:
    """What was asked of one file."""

    opens: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    """Offset and length of each request, both in bytes, in order; no longer than what there was to read."""

    @property
    def bytes_read(self) -> int:
        """How many bytes were given, those given twice counted twice."""
        return sum(length for _, length in self.reads)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror in service: where it is, and what has been asked of it."""

    folder: Path
    _pipe: Connection

    def take(self) -> dict[str, Traffic]:
        """Give what was asked since the last time, by path relative to the folder."""
        self._pipe.send("take")
        return {path: Traffic(opens, reads) for path, (opens, reads) in self._pipe.recv().items()}


class CannotMirrorError(Exception):
    """There is no FUSE here; the message says what is lacking."""


@contextmanager
def mirror(source: Path, folder: Path, *, seconds_a_read: float = 0.0, cached: bool = True) -> Iterator[Mirror]:
    """Show `source` at `folder`, which is made, until the end of the `with` block.

    Args:
        source: what to show.
        folder: where.
        seconds_a_read: what each request waits before it is answered; there may be several at a time.
        cached: whether the kernel keeps what was read and reads ahead, as it does with disks; otherwise each `read` of
            the program is a request of its own, as long as the program made it.

    Raises:
        CannotMirrorError: this machine has no FUSE, or the user may not use it.
    """
    folder.mkdir(parents=True)
    device = _mount(folder)
    ours, theirs = get_context("fork").Pipe()
    process = get_context("fork").Process(
        target=_serve, args=(device, os.fsencode(source), seconds_a_read, cached, theirs), daemon=True
    )
    process.start()
    os.close(device)
    theirs.close()
    try:
        yield Mirror(folder, ours)
    finally:
        _unmount(folder)
        ours.close()
        process.join(5)
        process.kill()


def _mount(folder: Path) -> int:
    """Give the descriptor on which the kernel asks."""
    helper = shutil.which("fusermount3")
    if not Path("/dev/fuse").exists() or (helper is None and os.geteuid() != 0):
        raise CannotMirrorError("A slow or counting disk needs FUSE: /dev/fuse and `fusermount3` (Debian: fuse3).")
    options = "ro,nosuid,nodev,fsname=stoat-mirror,subtype=mirror"
    if helper is None:
        return _mount_as_root(folder, options)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [helper, "-o", options, "--", str(folder)],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotMirrorError("FUSE cannot be used here: " + done.stderr.strip())
        descriptors = array.array("i")
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_LEN(descriptors.itemsize))
        descriptors.frombytes(ancillary[0][2])
        return descriptors[0]


def _mount_as_root(folder: Path, options: str) -> int:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    kept = ",".join(option for option in options.split(",") if not option.startswith(("fsname", "subtype")))
    more = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    command = ["mount", "-i", "-t", "fuse.mirror", "-o", f"{kept},{more}", "stoat-mirror", str(folder)]
    done = subprocess.run(command, pass_fds=(device,), capture_output=True, text=True, check=False)
    if done.returncode:
        os.close(device)
        raise CannotMirrorError("FUSE cannot be used here: " + done.stderr.strip())
    return device


def _unmount(folder: Path) -> None:
    helper = shutil.which("fusermount3")
    command = [helper, "-u", "-z"] if helper else ["umount", "-l"]
    subprocess.run([*command, str(folder)], capture_output=True, check=False)


# What follows runs in the process that answers the kernel.


def _serve(device: int, source: bytes, seconds_a_read: float, cached: bool, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _Answers(source, seconds_a_read, cached)
    for _ in range(THREADS):
        threading.Thread(target=_answer_all, args=(device, answers), daemon=True).start()
    with suppress(EOFError, OSError):
        while pipe.recv():
            pipe.send(answers.take())


def _answer_all(device: int, answers: "_Answers") -> None:
    while True:
        try:
            request = os.read(device, _BUFFER)
        except InterruptedError:
            continue
        except OSError as problem:
            if problem.errno in (errno.ENOENT, errno.EAGAIN):  # the request was taken back
                continue
            return  # ENODEV: unmounted
        _, opcode, unique, node, *_ = _IN.unpack_from(request)
        if opcode in _NO_ANSWER:
            continue
        code, body = 0, b""
        try:
            body = answers.answer(opcode, node, request[_IN.size :])
        except OSError as problem:
            code = -(problem.errno or errno.EIO)
        with suppress(OSError):  # whoever asked may be gone
            os.write(device, _OUT.pack(_OUT.size + len(body), code, unique) + body)


class _Answers:
    """Answers requests; any thread may ask."""

    def __init__(self, source: bytes, seconds_a_read: float, cached: bool) -> None:
        self._source = source
        self._seconds = seconds_a_read
        self._flags = _KEEP_CACHE if cached else _DIRECT
        self._lock = threading.Lock()
        self._nodes = {1: source}
        self._numbers = {source: 1}
        self._files: dict[int, bytes] = {}
        self._listings: dict[int, list[tuple[bytes, int]]] = {}
        self._next_listing = 1
        self._opens: dict[bytes, int] = defaultdict(int)
        self._reads: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        self._operations: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._lookup,
            3: self._attributes,
            5: lambda node, _: os.readlink(self._nodes[node]),  # noqa: PTH115 - a path of bytes
            14: self._open,
            15: self._read,
            17: lambda _node, _body: struct.pack("=5Q10I", 1, 0, 0, 1, 0, 4096, 255, 4096, 0, *[0] * 6),
            18: self._release,
            26: self._init,
            27: self._open_folder,
            28: self._list,
            29: self._release_folder,
            38: lambda _node, _body: b"",
        }

    def take(self) -> dict[str, tuple[int, list[tuple[int, int]]]]:
        with self._lock:
            opens, self._opens = self._opens, defaultdict(int)
            reads, self._reads = self._reads, defaultdict(list)
        start = len(self._source) + 1
        return {os.fsdecode(path[start:]): (opens[path], reads[path]) for path in {*opens, *reads}}

    def answer(self, opcode: int, node: int, body: bytes) -> bytes:
        """Give the answer's body.

        Raises:
            OSError: the answer is an error.
        """
        operation = self._operations.get(opcode)
        if operation is None:
            raise OSError(errno.ENOSYS, "not implemented")
        return operation(node, body)

    def _init(self, _node: int, body: bytes) -> bytes:
        major, _, ahead, flags = struct.unpack_from("=4I", body)
        flags &= _ASYNC_READ | _PARALLEL_FOLDERS | _MAX_PAGES
        pages = _LARGEST_READ // 4096
        said = struct.pack("=4IHH2IHH", major, 31, min(ahead, _LARGEST_READ), flags, 16, 12, _LARGEST_READ, 1, pages, 0)
        return said.ljust(64, b"\0")

    def _lookup(self, node: int, body: bytes) -> bytes:
        path = self._nodes[node] + b"/" + body.rstrip(b"\0")
        status = os.lstat(path)
        with self._lock:
            number = self._numbers.setdefault(path, len(self._numbers) + 1)
            self._nodes[number] = path
        return struct.pack("=4Q2I", number, 0, _FOREVER, _FOREVER, 0, 0) + _attributes(status)

    def _attributes(self, node: int, _body: bytes) -> bytes:
        return struct.pack("=Q2I", _FOREVER, 0, 0) + _attributes(os.lstat(self._nodes[node]))

    def _open(self, node: int, _body: bytes) -> bytes:
        path = self._nodes[node]
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with self._lock:
            self._files[descriptor] = path
            self._opens[path] += 1
        return struct.pack("=Q2I", descriptor, self._flags, 0)

    def _read(self, _node: int, body: bytes) -> bytes:
        descriptor, offset, length = _READ_IN.unpack_from(body)
        if self._seconds:
            time.sleep(self._seconds)
        data = os.pread(descriptor, length, offset)
        with self._lock:
            self._reads[self._files[descriptor]].append((offset, len(data)))
        return data

    def _release(self, _node: int, body: bytes) -> bytes:
        (descriptor,) = struct.unpack_from("=Q", body)
        with self._lock:
            self._files.pop(descriptor, None)
        os.close(descriptor)
        return b""

    def _open_folder(self, node: int, _body: bytes) -> bytes:
        with os.scandir(self._nodes[node]) as entries:
            names = [(entry.name, entry.inode()) for entry in entries]
        with self._lock:
            number, self._next_listing = self._next_listing, self._next_listing + 1
            self._listings[number] = names
        return struct.pack("=Q2I", number, 0, 0)

    def _list(self, node: int, body: bytes) -> bytes:
        number, offset, length = _READ_IN.unpack_from(body)
        answer = bytearray()
        for place, (name, inode) in enumerate(self._listings[number][offset:], offset + 1):
            kind = stat.S_IFMT(os.lstat(self._nodes[node] + b"/" + name).st_mode) >> 12
            entry = struct.pack("=QQII", inode, place, len(name), kind) + name
            entry += b"\0" * (-len(entry) % 8)
            if len(answer) + len(entry) > length:
                break
            answer += entry
        return bytes(answer)

    def _release_folder(self, _node: int, body: bytes) -> bytes:
        with self._lock:
            self._listings.pop(struct.unpack_from("=Q", body)[0], None)
        return b""


def _attributes(status: os.stat_result) -> bytes:
    times = [status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns]
    numbers: list[Any] = [status.st_ino, status.st_size, status.st_blocks]
    numbers += [nanoseconds // 10**9 for nanoseconds in times] + [nanoseconds % 10**9 for nanoseconds in times]
    mode = status.st_mode & ~0o222
    return struct.pack("=6Q10I", *numbers, mode, status.st_nlink, status.st_uid, status.st_gid, 0, 4096, 0)
