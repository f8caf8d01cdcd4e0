"""The process that `torture.fuzz` tries to bring down: it runs the real pool and the real grabber, as a server does.

It is told of mutants through a pipe and reports what came of each. Whatever it finds amiss in an outcome it says; how
long it lives and what memory it takes is seen from outside.
"""

import json
import math
import re
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import structlog

from stoat_ferret.errors import (
    IncompleteFileError,
    NoPictureError,
    NotMediaError,
    NoVideoStreamError,
    ProbeCrashedError,
    ProbeTimeoutError,
    StoatError,
)
from stoat_ferret.media.pool import FrameGrabber, ProbeOutcome, ProbePool, ProbeTask

WHAT_A_FILE_MAY_BE = {
    kind.code for kind in (NotMediaError, IncompleteFileError, NoVideoStreamError, ProbeTimeoutError, ProbeCrashedError)
}
"""Codes that the content of a file can rightly have: the disk is sound here and nobody writes to the file."""
FOUND = "FOUND"
"""In the place of a code: facts, or a picture."""
RETIRED, DIED = "needs more memory", "ended the process"
"""In the messages about a process that ended itself after an answer, and about one that made thumbnails and died."""
WIDTH = 320
_PATIENCE_SECONDS = 0.05
_MOST_INTEGER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What is granted, for one file and for one process."""

    workers: int
    queue_depth: int
    deadline_seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Errand:
    """A mutant to examine, and if it turns out to be a video and `picture` is set, to make a thumbnail of."""

    number: int
    path: bytes
    picture: bool


@dataclass(slots=True)
class Verdict:
    """What came of a mutant."""

    number: int
    code: str = ""
    seconds: float = 0.0
    """From the pool's taking it on to its outcome."""
    picture_code: str | None = None
    picture_seconds: float = 0.0
    picture_death: bool = False
    """The process that made thumbnails died of it, or had to be killed."""
    retired: bool = False
    """Its process ended itself, after the answer."""
    amiss: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Death:
    """A probe process that died, and the mutant it worked on; None where there was none."""

    number: int | None
    how: str


@dataclass(frozen=True, slots=True)
class Farewell:
    """The last message: how many processes the pool had to replace."""

    restarts: int


def supervise(pipe: Connection, limits: Limits) -> None:
    """Examine what the pipe names until it sends None, then say farewell."""
    deaths: list[Death] = []
    structlog.configure(processors=[_journal(deaths)], logger_factory=structlog.ReturnLoggerFactory())
    pool = ProbePool(
        workers=limits.workers,
        queue_depth=limits.queue_depth,
        deadline_seconds=limits.deadline_seconds,
        memory_limit_bytes=limits.memory_bytes,
    )
    with pool, FrameGrabber(memory_limit_bytes=limits.memory_bytes) as grabber, ThreadPoolExecutor(1) as thread:
        desk = _Desk(pool, grabber, thread, limits.deadline_seconds)
        open_for_more = True
        while open_for_more or desk.busy:
            while open_for_more and pipe.poll(0 if desk.busy else 1.0):
                errand = pipe.recv()
                if errand is None:
                    open_for_more = False
                else:
                    desk.take(errand)
            found = [*desk.work()]
            if found or deaths:
                pipe.send((found, deaths[:]))
                deaths.clear()
    pipe.send(Farewell(pool.restarts))


def _journal(deaths: list[Death]) -> Any:
    """Give a log processor that takes down which process died over which mutant."""

    def take_down(_logger: Any, _method: str, event: dict[str, Any]) -> str:
        if event["event"] == "probe_process_replaced":
            number = mutant_number(event["path"]) if event["path"] is not None else None
            deaths.append(Death(number, f"{event['how']} {event['detail']}".strip()))
        return ""

    return take_down


def mutant_number(path: str | bytes) -> int:
    """Read a mutant's number out of its file's name."""
    text = path if isinstance(path, str) else path.decode()
    found = re.search(r"/(\d+)-[^/]*$", text)
    if found is None:
        msg = f"{text} is not the name of a mutant"
        raise ValueError(msg)
    return int(found[1])


class _Desk:
    """Mutants under way: those that wait, those that the pool has, those of which a picture is being made."""

    def __init__(self, pool: ProbePool, grabber: FrameGrabber, thread: ThreadPoolExecutor, deadline: float) -> None:
        self._pool, self._grabber, self._thread, self._deadline = pool, grabber, thread, deadline
        self._waiting: deque[Errand] = deque()
        self._examined: dict[int, tuple[Errand, float]] = {}
        self._pictured: list[tuple[Verdict, Future[None]]] = []

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._examined or self._pictured)

    def take(self, errand: Errand) -> None:
        self._waiting.append(errand)

    def work(self) -> Iterator[Verdict]:
        """Go on for a moment; gives the mutants that are done with."""
        while self._waiting and self._pool.room:
            errand = self._waiting.popleft()
            self._examined[errand.number] = errand, time.monotonic()
            self._pool.submit(ProbeTask(key=errand.number, path=errand.path))
        for outcome in self._pool.wait(_PATIENCE_SECONDS):
            if (verdict := self._judge(outcome)) is not None:
                yield verdict
        for entry in self._pictured[:]:
            verdict, future = entry
            if future.done():
                self._pictured.remove(entry)
                future.result()
                yield verdict

    def _judge(self, outcome: ProbeOutcome) -> Verdict | None:
        verdict = Verdict(outcome.task.key)
        if (known := self._examined.pop(outcome.task.key, None)) is None:
            verdict.amiss.append("a second outcome, or one nobody asked for")
            return verdict
        errand, began = known
        verdict.seconds = time.monotonic() - began
        verdict.code = outcome.error.code if outcome.error is not None else FOUND
        verdict.retired = outcome.error is not None and RETIRED in outcome.error.message
        verdict.amiss += amiss_in(outcome)
        if errand.picture and outcome.error is None:
            self._pictured.append((verdict, self._thread.submit(self._picture, errand.path, verdict)))
            return None
        return verdict

    def _picture(self, path: bytes, verdict: Verdict) -> None:
        """Make a thumbnail, and add to the verdict what came of that."""
        began = time.monotonic()
        verdict.picture_code = FOUND
        try:
            if not self._grabber.thumbnail(path, WIDTH, "jpeg", self._deadline).startswith(b"\xff\xd8"):
                verdict.amiss.append("the thumbnail is no JPEG")
        except StoatError as error:
            verdict.picture_code = error.code
            verdict.picture_death = isinstance(error, ProbeTimeoutError) or DIED in error.message
            if error.code not in WHAT_A_FILE_MAY_BE | {NoPictureError.code} or not error.message:
                verdict.amiss.append(f"thumbnail: {error.code}: {error.message}")
        verdict.picture_seconds = time.monotonic() - began


def amiss_in(outcome: ProbeOutcome) -> list[str]:
    """Say what is wrong with an outcome, whatever the file was: it must be whole, explained, and fit to be stored."""
    if outcome.error is not None:
        error = outcome.error
        found = [] if outcome.info is None else ["both facts and an error"]
        if error.code not in WHAT_A_FILE_MAY_BE or error.passing or not error.message:
            found.append(f"{error.code}{' (passing)' if error.passing else ''}: {error.message}")
        return found
    if outcome.info is None or outcome.fingerprint is None or outcome.stat is None:
        return ["neither facts nor an error"]
    facts = outcome.info.to_json()
    found = [f"{place} is {value!r}" for place, value in _leaves(facts) if not _storable(value)]
    if outcome.info.rotation not in (None, 0, 90, 180, 270):
        found.append(f"a rotation of {outcome.info.rotation}")
    if json.loads(json.dumps(facts)) != json.loads(json.dumps(facts, ensure_ascii=False)):
        found.append("facts that JSON does not carry")
    return found


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield place, key
            yield from _leaves(item, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
    else:
        yield place, value


def _storable(value: Any) -> bool:
    """Tell whether both databases and JSON take a value."""
    if isinstance(value, str):
        return "\0" not in value and value == value.encode("utf-8", "replace").decode("utf-8", "replace")
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or abs(int(value)) <= _MOST_INTEGER
