"""Thumbnails on demand, from a probe process of their own, for a server that must not decode in its own."""

import threading
import time
from types import TracebackType
from typing import Literal, Self

from stoat_ferret.errors import (
    ConfigurationError,
    FileChangedError,
    IncompleteFileError,
    MediaError,
    NoPictureError,
    NotMediaError,
    NoVideoStreamError,
    ProbeCrashedError,
    ProbeTimeoutError,
    StoatError,
    UnreadableFileError,
    UnsupportedMediaLibraryError,
)
from stoat_ferret.media.process import WorkerLiedError, WorkerLostError, WorkerProcess, parse, readable
from stoat_ferret.paths import encode_base64

_ERRORS: dict[str, type[StoatError]] = {
    kind.code: kind
    for kind in (
        NoPictureError,
        UnreadableFileError,
        FileChangedError,
        NotMediaError,
        IncompleteFileError,
        NoVideoStreamError,
        ProbeCrashedError,
    )
}
CLOSE_SECONDS = 2.0
WIDEST = 16383
"""Pixels; what WebP can hold."""


class FrameGrabber:
    """One probe process that makes thumbnails, one at a time; safe to call from any thread.

    The process is started at the first call, and again after it died or was killed over a deadline.
    """

    def __init__(self, *, memory_limit_bytes: int = 2 << 30) -> None:
        self._memory_limit = memory_limit_bytes
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._dying: list[WorkerProcess] = []
        self.sandbox: dict[str, bool] = {}
        """What of the lock-down works in the process, by name; empty until it has started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def thumbnail(self, path: bytes, width: int, image_format: Literal["jpeg", "webp"], timeout: float = 30.0) -> bytes:
        """Give a picture from a tenth into the film, upright, at most `width` pixels wide.

        Args:
            path: absolute.
            width: in pixels.
            image_format: of the bytes returned.
            timeout: seconds, the wait for other callers included.

        Raises:
            NoPictureError: no picture can be decoded.
            MediaError: the file cannot be read, or examining it crashed the process or took too long.
            ConfigurationError: the process cannot be started here.
        """
        if not 1 <= width <= WIDEST:
            msg = f"The width {width} is not between 1 and {WIDEST}."
            raise ValueError(msg)
        until = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise ProbeTimeoutError("The thumbnail had to wait too long for others.")
        try:
            task = {"kind": "thumbnail", "path": encode_base64(path), "width": width, "format": image_format}
            return self._ask(task, until)
        finally:
            self._lock.release()

    def check(self, timeout: float = 5.0) -> dict[str, bool]:
        """Make sure that the process runs, and give what of its lock-down works, by name.

        Raises:
            MediaError: it is busy, or does not answer.
            UnsupportedMediaLibraryError: its libraries are not safe with unknown files.
            ConfigurationError: it cannot be started here.
        """
        until = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise ProbeTimeoutError("The thumbnail process is busy.")
        try:
            self._live_worker(until)
            return dict(self.sandbox)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._worker is not None:
                worker, self._worker = self._worker, None
                worker.let_go()
                if not worker.reaped(CLOSE_SECONDS):
                    worker.kill()
                    self._dying.append(worker)
            self._dying = [worker for worker in self._dying if not worker.reaped(CLOSE_SECONDS)]

    def _ask(self, task: dict[str, object], until: float) -> bytes:
        reused = self._worker is not None
        worker = self._live_worker(until)
        try:
            worker.send(task)
            messages = self._messages(worker, 1, until)
            answer = parse(messages[0])
            if answer.get("retiring"):
                self._drop()
            if (error := answer.get("error")) is not None:
                raise _ERRORS.get(error["code"], MediaError)(str(error["message"]))
            if len(messages) < 2:
                messages += self._messages(worker, 1, until)
            return messages[1]
        except (WorkerLostError, KeyError, TypeError) as lost:
            how = worker.how_it_ended(lost if isinstance(lost, WorkerLostError) else WorkerLiedError())
            self._drop()
            if reused:  # it may have died before it saw this task; a new one has only this to die of
                return self._ask(task, until)
            msg = f"Decoding the picture ended the process that did it: it {how}."
            raise ProbeCrashedError(msg) from lost

    def _live_worker(self, until: float) -> WorkerProcess:
        """Give the process, started anew if it has ended since the last call."""
        self._dying = [worker for worker in self._dying if not worker.reaped()]
        if self._worker is not None and self._worker.process.poll() is not None:
            self._drop()
        if self._worker is None:
            self._worker = WorkerProcess(self._memory_limit)
        worker = self._worker
        if not worker.ready:
            try:
                worker.take_hello(self._messages(worker, 1, until)[0])
            except WorkerLostError as lost:
                refused, said = worker.refuses(), worker.log_tail() or worker.how_it_ended(lost)
                self._drop()
                if refused:
                    raise UnsupportedMediaLibraryError(said) from lost
                raise ConfigurationError(f"The thumbnail process cannot be started: {said}") from lost
            self.sandbox = dict(worker.sandbox or {})
        return worker

    def _messages(self, worker: WorkerProcess, least: int, until: float) -> list[bytes]:
        """Wait for so many messages; kill the process if they do not come in time."""
        messages: list[bytes] = []
        while len(messages) < least:
            if not readable([worker], max(0.0, until - time.monotonic())):
                self._drop()
                raise ProbeTimeoutError("Decoding the picture took too long, and was given up.")
            messages += worker.receive()
        return messages

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._dying.append(self._worker)
            self._worker = None
