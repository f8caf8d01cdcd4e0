"""The probe stage: files go to the worker processes, outcomes come back, each to the folder it came from."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from stoat_ferret.errors import FileChangedError, NoVideoStreamError
from stoat_ferret.library.models import FileKey, KnownFolder, Outcome
from stoat_ferret.library.results import FileResult, FolderBatch
from stoat_ferret.media.pool import FileStat, ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.scan.compare import FolderChanges, Seen
from stoat_ferret.scan.sight import Sight

LOW_WATER = 64
"""With fewer files waiting than this, the next folder is compared, so that the processes never idle."""


STILL_WRITTEN = "STILL_WRITTEN"
PARTLY_THERE = "Only the first part of the file is there: it is probably being copied. It is looked at again by itself."
PAUSE_SECONDS = 900
"""For so long after it was written to last, a file of which only a part is there may be one that is still copied."""
SAYS_MORE = "PROBE_SAYS_MORE"


@dataclass(slots=True, kw_only=True, eq=False)
class OpenFolder:
    """A folder between its listing and the outcome of its last file."""

    path: bytes
    library_id: str
    known: KnownFolder | None
    digest: bytes | None
    """To be stored once all is well; None where the next scan has to compare file by file."""
    changes: FolderChanges
    remaining: int
    """Files without an outcome."""
    usable: int = field(init=False)
    """Files, besides the unchanged ones, that are videos."""
    rejects: int = field(init=False)
    """Files that are none and need not be looked at again until they change."""
    batch: FolderBatch = field(init=False)

    def __post_init__(self) -> None:
        broken = sum(seen.known is not None and seen.known.reject_outcome is not None for seen in self.changes.restored)
        self.usable = len(self.changes.restored) - broken
        self.rejects = len(self.changes.rejected) + broken
        self.new_batch()

    def new_batch(self) -> None:
        """Start gathering anew, after what was gathered has been stored."""
        self.batch = FolderBatch(path=self.path, library_id=self.library_id, known=self.known)

    def tally(self, result: FileResult) -> None:
        """Count a file for the folder's record: as a video, or as none that need not be looked at until it changes."""
        if result.info is not None or result.outcome is Outcome.MOVED:
            broken = result.info is None and result.origin is not None and result.origin.reject_outcome is not None
            self.rejects += broken
            self.usable += not broken
        elif result.remember:
            self.rejects += 1


class Examiner:
    """Keeps the pool busy. One thread drives it. The pool is asked for when there is a first file to examine.

    `sight` tells where a path lies on this machine, and whether links are followed there.
    """

    def __init__(self, pool: Callable[[], ProbePool], sight: Sight) -> None:
        self._pool = pool
        self._sight = sight
        self._waiting: deque[tuple[OpenFolder, Seen]] = deque()
        self._running: dict[int, tuple[OpenFolder, Seen]] = {}
        self._next_key = 0

    @property
    def hungry(self) -> bool:
        """True while there is too little to do."""
        return len(self._waiting) < LOW_WATER

    @property
    def idle(self) -> bool:
        """True while there is nothing to do at all."""
        return not self._waiting and not self._running

    @property
    def current(self) -> bytes | None:
        """A file that is being examined now."""
        in_flight = self._pool().in_flight if self._running else []
        return self._running[in_flight[0].key][1].path if in_flight else None

    def add(self, folder: OpenFolder, files: Sequence[Seen]) -> None:
        """Take files on."""
        self._waiting.extend((folder, seen) for seen in files)

    def step(self, timeout: float) -> list[tuple[OpenFolder, FileResult]]:
        """Send what there is room for, then wait up to `timeout` seconds for outcomes."""
        while (found := self._next()) is not None:
            folder, seen = found
            self._running[self._next_key] = found
            place, follow = self._sight.here(seen.path), self._sight.follows(seen.path)
            device = seen.entry.key.device
            self._pool().submit(ProbeTask(self._next_key, place, follow_symlink=follow, device=device))
            self._next_key += 1
        if self._waiting and not self._running:
            time.sleep(timeout)  # the pool takes nothing on just now, and there is no outcome to wait for
        results = []
        for outcome in self._pool().wait(timeout) if self._running else []:
            folder, seen = self._running.pop(outcome.task.key)
            result = _result(seen, outcome)
            _tally(folder, seen, result)
            results.append((folder, result))
        return results

    def _next(self) -> tuple[OpenFolder, Seen] | None:
        """Take out the first waiting file that may be begun now, of those that are due soon."""
        if not self._waiting or not self._pool().room:
            return None
        for index, found in enumerate(islice(self._waiting, LOW_WATER)):
            if self._pool().takes(found[1].entry.key.device):
                del self._waiting[index]
                return found
        return None


def _tally(folder: OpenFolder, seen: Seen, result: FileResult) -> None:
    folder.tally(result)
    # A reason that may pass, or a change since the listing: the next scan has to look at this folder file by file.
    if (result.info is None and not result.remember) or not result.key.same_file(seen.entry.key):
        folder.digest = None


def _result(seen: Seen, outcome: ProbeOutcome) -> FileResult:
    failure = outcome.error
    if failure is not None and failure.code == FileChangedError.code:
        return still_written(seen)
    if failure is not None:
        # A known video stays one: without a picture it is broken, not something that never was a video.
        before = seen.origin or seen.known
        skipped = failure.code == NoVideoStreamError.code and (before is None or before.video_pk is None)
        return FileResult(
            path=seen.path,
            key=seen.entry.key,
            outcome=Outcome.SKIPPED if skipped else Outcome.FAILED,
            known=seen.known,
            code=failure.code,
            reason=failure.message,
            remember=not failure.passing,
            bytes_read=outcome.bytes_read,
            origin=None if failure.passing else seen.origin,
        )
    if outcome.cut_short and outcome.stat is not None and _may_be_copied(outcome.stat):
        return replace(still_written(seen), reason=PARTLY_THERE, bytes_read=outcome.bytes_read)
    code, reason = _why_again(seen)
    return FileResult(
        path=seen.path,
        key=_key(seen, outcome),
        outcome=_success(seen),
        known=seen.known,
        info=outcome.info,
        fingerprint=outcome.fingerprint,
        bytes_read=outcome.bytes_read,
        birth_ns=None if outcome.stat is None else outcome.stat.birth_ns,
        origin=seen.origin,
        twin=seen.twin,
        code=code,
        reason=reason,
    )


def _may_be_copied(stat: FileStat) -> bool:
    """Tell whether a file of which a part is there was written to so lately that the rest may be about to come."""
    return abs(time.time_ns() - stat.mtime_ns) < PAUSE_SECONDS * 1_000_000_000


def _why_again(seen: Seen) -> tuple[str | None, str | None]:
    """Say why a file is examined that did not change: nobody should look for what has happened to it."""
    known = seen.known
    if known is None or not known.outdated or not known.key.same_file(seen.entry.key):
        return None, None
    return SAYS_MORE, "The file is as it was; this version of stoat-ferret tells more of a video."


def still_written(seen: Seen) -> FileResult:
    """Leave a file alone that changes while it is looked at."""
    return FileResult(
        path=seen.path,
        key=seen.entry.key,
        outcome=Outcome.SKIPPED,
        known=seen.known,
        code=STILL_WRITTEN,
        reason="The file is still being written. It is looked at again by itself.",
        remember=False,
    )


def _success(seen: Seen) -> Outcome:
    if seen.origin is not None and seen.origin.video_pk is not None:
        return Outcome.RESTORED if seen.origin.path == seen.path else Outcome.MOVED
    if seen.known is None or seen.known.video_pk is None:
        return Outcome.NEW
    return Outcome.RESTORED if seen.known.state == "missing" else Outcome.UPDATED


def _key(seen: Seen, outcome: ProbeOutcome) -> FileKey:
    """Give the state of the file that was really examined: it may have changed since it was listed."""
    stat = outcome.stat
    if stat is None:
        return seen.entry.key
    return FileKey.of(size=stat.size, mtime_ns=stat.mtime_ns, inode=stat.inode, device=stat.device)
