"""Makes pictures ahead: of every video that is there and has none in the cache, so that nobody waits for one.

What is in the cache is done: a run that was cut off, by whatever, goes on with what is not. The files are read in probe
processes, several at once. Of a file that has no picture, or that ended or held up its process twice, the cache notes
the reason, and later runs leave it alone until it changes.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from stoat_ferret import paths
from stoat_ferret.errors import FileChangedError, PathTimeoutError, ProbeTimeoutError
from stoat_ferret.library import ledger
from stoat_ferret.library.depicted import Depictable, count_depictable, depictable
from stoat_ferret.library.models import LedgerRow, Outcome
from stoat_ferret.library.repository import LibraryRepository, now_us
from stoat_ferret.media.cache import PictureCache
from stoat_ferret.media.pool import MediaFailure, PictureWish, ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.media.tasks import ImageFormat
from stoat_ferret.scan.job import ScanJob
from stoat_ferret.scan.report import ERRORS_SHOWN
from stoat_ferret.scan.sight import MOST_SILENCES, Sight

WISH = PictureWish(320, "jpeg")
"""What pages show most: their lists ask for this width. Browsers would rather have WebP, which is a third smaller and
takes four times as long, a quarter of all that a picture takes: they are given what is there."""
ALSO_SHOWN: ImageFormat = "webp"
"""Somebody who looked before had it made so; it is shown."""
AHEAD = 64
"""Files that wait, among which one is looked for whose disk has time."""
POLL_SECONDS = 0.03
"""How long is waited for a picture before it is looked whether the job is to end."""
STORE_SECONDS = 0.5
STORE_FILES = 500
NO_PICTURE = "NO_PICTURE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThumbnailOptions:
    """Of what pictures are wanted."""

    place: bytes | None = None
    """A folder or file; None: everything."""
    retry: bool = False
    """Try again what is noted to have none."""


class ThumbnailRun:
    """One run; use it in one thread.

    Args:
        options: of what pictures are wanted.
        job: the job that this is.
        repository: the catalogue.
        sight: tells where files lie, and looks whether their disks still answer.
        cache: where pictures are kept.
        open_pool: gives the probe processes, the same ones each time.
    """

    def __init__(
        self,
        options: ThumbnailOptions,
        job: ScanJob,
        repository: LibraryRepository,
        sight: Sight,
        cache: PictureCache,
        open_pool: Callable[[], ProbePool],
    ) -> None:
        self._options = options
        self._job = job
        self._database = repository.database
        self._sight = sight
        self._cache = cache
        self._pool = open_pool
        self._waiting: deque[Depictable] = deque()
        self._running: dict[int, Depictable] = {}
        self._contents: set[str] = set()  # of what waits or runs
        self._twins: list[Depictable] = []  # of the same content as one of these
        self._next_key = 0
        self._present = self._done = self._total = self._silences = 0
        self._rows: list[tuple[int | None, LedgerRow]] = []
        self._made: Counter[tuple[int, bytes]] = Counter()
        self._bytes_read = 0
        self._stored_at = time.monotonic()

    def work(self) -> None:
        """Make what pictures are lacking; blocks until it is done. Which files have none, the job's ledger says.

        Raises:
            StorageError: a picture could not be kept, or the catalogue not be written.
            PathTimeoutError: a disk says nothing any more; what was made stays.
            ConfigurationError: probe processes cannot be started here.
        """
        self._total = count_depictable(self._database, self._options.place)
        if self._job.attempt > 1:
            self._present -= ledger.totals(self._database, self._job.job_id)[Outcome.NEW]
            with self._job.transaction() as connection:  # what had no picture is met again, and may have one by now
                ledger.forget(connection, self._job.job_id, (Outcome.FAILED, Outcome.SKIPPED))
        if self._options.place is None:  # to look through the whole cache would take longer than a folder does
            self._cache.sweep()
        try:
            self._make(self._wanted())
            while self._twins:  # some have their pictures by now; the first may have failed where another can be read
                twins, self._twins = self._twins, []
                self._make(twins)
        finally:
            self._store()

    def report(self) -> dict[str, Any]:
        """Give what has come of the job so far, in all its attempts.

        Raises:
            StorageError: the catalogue could not be read.
        """
        totals = ledger.totals(self._database, self._job.job_id)
        bytes_read, seconds = ledger.costs(self._database, self._job.job_id)
        first = [
            row
            for outcome in (Outcome.FAILED, Outcome.SKIPPED)
            for row in ledger.first_with(self._database, self._job.job_id, outcome, ERRORS_SHOWN)
        ]
        return {
            "made": totals[Outcome.NEW],
            "present": max(0, self._present),
            "without_picture": totals[Outcome.SKIPPED],
            "failed": totals[Outcome.FAILED],
            "errors": [
                {"path": paths.display(row.path_bytes), "error": row.reason or row.code or "unknown"}
                for row in first[:ERRORS_SHOWN]
            ],
            "bytes_read": bytes_read,
            "duration_seconds": round(seconds, 3),
        }

    def _make(self, wanted: Iterable[Depictable]) -> None:
        for each in wanted:
            self._take_on(each)
        while self._waiting or self._running:
            self._step()

    def _wanted(self) -> Iterator[Depictable]:
        """Yield the videos that are there, by path."""
        after = b""
        while page := depictable(self._database, self._options.place, after):
            self._job.raise_if_cancelled()
            yield from page
            after = page[-1].path_bytes

    def _take_on(self, wanted: Depictable) -> None:
        if wanted.content in self._contents:
            self._twins.append(wanted)
        elif not self._look(wanted):
            self._contents.add(wanted.content)
            self._waiting.append(wanted)
            while len(self._waiting) >= AHEAD:
                self._step()

    def _look(self, wanted: Depictable) -> bool:
        """Tell whether nothing is to be done for a video, and count it if so."""
        formats = (WISH.image_format, ALSO_SHOWN)
        if any(self._cache.has(wanted.content, WISH.width, image_format) for image_format in formats):
            self._present += 1
        else:
            reason = None if self._options.retry else self._cache.why_none(wanted.content)
            if reason is None:
                return False
            self._note(wanted, Outcome.SKIPPED, NO_PICTURE, reason)
        self._pass()
        return True

    def _step(self) -> None:
        """Hand out what the processes take, and see to what came back."""
        self._job.raise_if_cancelled()
        while (found := self._next()) is not None:
            self._running[self._next_key] = found
            place, follow = self._sight.here(found.path_bytes), self._sight.follows(found.path_bytes)
            task = ProbeTask(self._next_key, place, follow_symlink=follow, device=found.device, picture=WISH)
            self._pool().submit(task)
            self._next_key += 1
        if not self._running:
            time.sleep(POLL_SECONDS)  # the pool takes nothing on just now
            return
        for outcome in self._pool().wait(POLL_SECONDS):
            wanted = self._running.pop(outcome.task.key)
            self._bytes_read += outcome.bytes_read
            self._settle(wanted, outcome)
            self._contents.discard(wanted.content)
            self._pass()
        if len(self._rows) >= STORE_FILES or time.monotonic() - self._stored_at >= STORE_SECONDS:
            self._store()

    def _next(self) -> Depictable | None:
        """Take out the first of the files that may be begun now."""
        if not self._waiting or not self._pool().room:
            return None
        for index, found in enumerate(islice(self._waiting, AHEAD)):
            if self._pool().takes(found.device):
                del self._waiting[index]
                return found
        return None

    def _settle(self, wanted: Depictable, outcome: ProbeOutcome) -> None:
        if outcome.error is not None:
            self._fail(wanted, outcome.error)
        elif outcome.stat is None or (outcome.stat.size, outcome.stat.mtime_ns) != (wanted.size, wanted.mtime_ns):
            self._note(wanted, Outcome.FAILED, FileChangedError.code, "The file has changed since the last scan.")
        elif outcome.image is not None:
            self._cache.keep(wanted.content, WISH.width, WISH.image_format, outcome.image)
            self._made[wanted.folder_pk, wanted.path_bytes.rpartition(b"/")[0] or b"/"] += 1

    def _fail(self, wanted: Depictable, error: MediaFailure) -> None:
        passing = error.passing or (error.code == ProbeTimeoutError.code and not self._answers(wanted))
        if not passing:
            self._cache.note_none(wanted.content, error.message)
        skipped = error.code == NO_PICTURE
        self._note(wanted, Outcome.SKIPPED if skipped else Outcome.FAILED, error.code, error.message)

    def _answers(self, wanted: Depictable) -> bool:
        """Tell whether a file's disk still answers: if not, the file is not to blame for having taken too long.

        Raises:
            PathTimeoutError: it did not for several files.
        """
        try:
            self._sight.status(wanted.path_bytes)
        except TimeoutError as error:
            self._silences += 1
            if self._silences >= MOST_SILENCES:
                msg = (
                    f"The disk of {paths.display(wanted.path_bytes)} does not answer, as of {MOST_SILENCES - 1} files "
                    "before. The pictures that were made are kept; make the others when it answers."
                )
                raise PathTimeoutError(msg) from error
            return False
        except OSError:
            return False
        return True

    def _pass(self) -> None:
        """Count a video as seen to."""
        self._done += 1
        current = next(iter(self._running.values()), None)
        name = None if current is None else current.path_bytes.rpartition(b"/")[2].decode("utf-8", "replace")
        self._job.progress("thumbnails", self._done, max(self._total, self._done), current=name)

    def _note(self, wanted: Depictable, outcome: Outcome, code: str, reason: str) -> None:
        row = LedgerRow(
            path_bytes=wanted.path_bytes,
            outcome=outcome,
            at=now_us(),
            code=code,
            reason=reason,
            video_id=wanted.video_id,
        )
        self._rows.append((wanted.folder_pk, row))

    def _store(self) -> None:
        now = time.monotonic()
        with self._job.transaction() as connection:
            ledger.record(connection, self._job.job_id, self._rows)
            self._count_made(connection)
            ledger.add_cost(connection, self._job.job_id, self._bytes_read, now - self._stored_at)
        self._rows, self._bytes_read, self._stored_at = [], 0, now
        self._made.clear()

    def _count_made(self, connection: Connection) -> None:
        now = now_us()
        counted = [
            (folder_pk, LedgerRow(path_bytes=folder, outcome=Outcome.NEW, at=now, count=count))
            for (folder_pk, folder), count in self._made.items()
        ]
        ledger.count_up(connection, self._job.job_id, counted)
