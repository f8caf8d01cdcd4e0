"""Stand-ins for tests: files that a pretended probe understands, scans that run at once, catalogues made in no time."""

import asyncio
import hashlib
import itertools
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from sqlalchemy import Connection, func, select

from stoat_ferret.api.services.parts import PART_JOB_TYPE, Shunned, make_part_handler
from stoat_ferret.api.services.scan import make_scan_handler, probe_pool, scan_request
from stoat_ferret.db.engine import Database, open_sqlite
from stoat_ferret.db.migrate import upgrade
from stoat_ferret.db.tables import libraries, videos
from stoat_ferret.errors import FileChangedError, NoVideoStreamError
from stoat_ferret.jobs.context import JobContext
from stoat_ferret.jobs.fence import Fence, raise_fence
from stoat_ferret.jobs.model import Claim, Job, JobStatus
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.library import changes, ledger
from stoat_ferret.library.models import LedgerRow, Video
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.search import find
from stoat_ferret.media.info import MediaInfo, StreamInfo
from stoat_ferret.media.pool import FileStat, MediaFailure, ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.media.shelf import PoolShelf
from stoat_ferret.scan.disk import DirectDisk
from stoat_ferret.scan.pipeline import OpenDisk
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.settings import Settings
from stoat_ferret.statx import birth_ns

LONG_AGO_NS = 1_600_000_000_000_000_000
_ticks = itertools.count(1)

Tree = dict[bytes, tuple[str, str]]


def make_settings(folder: Path, **fields: Any) -> Settings:
    """Give settings whose data lie in `folder`, and one probe process."""
    return Settings(**{"data_dir": folder, "probe_workers": 1, "settle_seconds": 0.0, **fields})


@cache
def _templates() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stoat-template-"))
    database = open_sqlite(folder / "library.db")
    upgrade(database, "library")
    database.close()
    return folder


def make_catalogue(path: Path) -> Database:
    """Give a new catalogue at `path`: a copy of one that was migrated once."""
    shutil.copyfile(_templates() / "library.db", path)
    return open_sqlite(path)


def media_info(**fields: Any) -> MediaInfo:
    """Give what a probe says of an ordinary clip."""
    usual: dict[str, Any] = {
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "duration": 1.5,
        "width": 160,
        "height": 96,
        "rotation": 0,
        "display_width": 160,
        "display_height": 96,
        "video_codec": "h264",
        "frame_rate": "25/1",
        "frame_rate_float": 25.0,
        "streams": (StreamInfo(index=0, kind="video", codec="h264"),),
    }
    return MediaInfo(**usual | fields)


def put(path: Path | bytes, content: str = "video", *, age_seconds: float | None = None) -> bytes:
    """Write a file that `FakePool` understands, with a time of its own, long ago unless an age is given.

    Content: `video` (and whatever follows), `video cut short`, `sound`, `broken`, `passing` for one that cannot be read
    just now, or `changing` for one that is written to meanwhile.
    """
    target = os.fsencode(path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(content.encode())
    if age_seconds is None:
        moment = LONG_AGO_NS + next(_ticks) * 1_000_000_000
        os.utime(target, ns=(moment, moment))
    return target


class FakePool:
    """Says what became of a file by what is written in it. Holds as many tasks as a pool of one process."""

    def __init__(self) -> None:
        self.examined: list[bytes] = []
        self.before_answer: Callable[[bytes], None] = lambda path: None
        self._tasks: deque[ProbeTask] = deque()

    def open(self) -> ProbePool:
        """Stand in for the pool of a scan."""
        self._tasks.clear()
        return cast("ProbePool", self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.clear()

    def close(self) -> None:
        self._tasks.clear()

    @property
    def outstanding(self) -> int:
        return len(self._tasks)

    @property
    def room(self) -> int:
        return 4 - len(self._tasks)

    def takes(self, device: int) -> bool:
        del device
        return self.room > 0

    @property
    def in_flight(self) -> list[ProbeTask]:
        return list(self._tasks)[:1]

    def submit(self, task: ProbeTask) -> None:
        self._tasks.append(task)

    def wait(self, timeout: float) -> list[ProbeOutcome]:
        if not self._tasks:
            return []
        task = self._tasks.popleft()
        self.examined.append(task.path)
        self.before_answer(task.path)
        return [answer(task)]


def _birth_ns(task: ProbeTask) -> int | None:
    return birth_ns(task.path, follow_symlink=task.follow_symlink)


def answer(task: ProbeTask) -> ProbeOutcome:
    """Give the outcome that `FakePool` gives of a file."""
    empty = ProbeOutcome(task, None, None, None, 0, 0.0, None)
    try:
        with open(task.path, "rb") as file:
            content = file.read()
            status = os.fstat(file.fileno())
    except OSError:
        return replace(empty, error=MediaFailure("UNREADABLE", "The file is no longer there.", passing=True))
    text = content.decode()
    stat = FileStat(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev, _birth_ns(task))
    known = replace(empty, stat=stat, bytes_read=len(content))
    if text.startswith("sound"):
        return replace(known, error=MediaFailure(NoVideoStreamError.code, "There is only sound.", passing=False))
    if text.startswith("broken"):
        return replace(known, error=MediaFailure("NOT_MEDIA", "It is no video.", passing=False))
    if text.startswith("changing"):
        return replace(known, error=MediaFailure(FileChangedError.code, "It is being written.", passing=True))
    if text.startswith("passing"):
        return replace(known, error=MediaFailure("UNREADABLE", "The disk hiccuped.", passing=True))
    title = text.removeprefix("video").strip()
    # With the time, which a move keeps: files that are written anew are others, though most hold the same word.
    identity = content + status.st_mtime_ns.to_bytes(16, "big", signed=True)
    fingerprint = hashlib.blake2b(identity, digest_size=16).hexdigest()
    info = media_info(tags={"title": title} if title else {})
    return replace(known, info=info, fingerprint=fingerprint, cut_short=text.startswith("video cut short"))


class Died(BaseException):
    """The worker was killed: nothing after this point happened."""


class MortalContext(JobContext):
    """A job's context in a process that dies at its n-th transaction, just before it commits."""

    transactions = 0
    dies_at: int | None = None

    @contextmanager
    def transaction(self, also: Fence | None = None, *, durable: bool = True) -> Iterator[Connection]:
        self.transactions += 1
        with super().transaction(also, durable=durable) as connection:
            yield connection
            if self.transactions == self.dies_at:
                raise Died


@dataclass
class Stage:
    """A catalogue, and scans of it that run at once with a pretended probe and the real everything else."""

    catalogue: Database
    settings: Settings
    pool: FakePool = field(default_factory=FakePool)
    now: int = 1_700_000_000_000_000
    """The queue's clock, in microseconds."""
    real_pool: bool = False
    shared: bool = False
    """Whatever is to be examined goes to other jobs, a file each, as where several workers share a scan."""
    open_disk: OpenDisk = DirectDisk

    def __post_init__(self) -> None:
        self.repository = LibraryRepository(self.catalogue)
        self.queue = self._queue()

    def _queue(self) -> InMemoryJobQueue:
        queue = InMemoryJobQueue(self.catalogue, run_on_submit=False, clock=lambda: self.now)
        open_pool = partial(probe_pool, self.settings) if self.real_pool else self.pool.open
        self.handler = make_scan_handler(
            self.repository,
            self.settings,
            open_disk=self.open_disk,
            open_pool=open_pool,
            queue=queue,
            share_out=self.shared,
        )
        queue.register_handler("scan", self.handler)
        shelf = PoolShelf(open_pool, keep_seconds=0.0)
        queue.register_handler(
            PART_JOB_TYPE,
            make_part_handler(queue, self.repository, self.settings, shelf, Shunned(), open_disk=self.open_disk),
        )
        return queue

    def scan(self, path: Path | bytes, **options: Any) -> Job:
        """Scan, and give the ended job."""
        return asyncio.run(self._scan(os.fsencode(path), options))

    async def _scan(self, path: bytes, options: dict[str, Any]) -> Job:
        self.queue = self._queue()
        submission = await self.queue.submit(scan_request(ScanOptions(path=path, **options), self.repository))
        await self.queue.run_pending()
        return await self.queue.get(submission.job.id)

    def waiting(self) -> list[Job]:
        """Give the scans that wait for their time."""
        return list(asyncio.run(self.queue.list(status=JobStatus.PENDING)).jobs)

    def result(self, path: Path | bytes, **options: Any) -> dict[str, Any]:
        """Scan, make sure that it was complete, and give its result."""
        job = self.scan(path, **options)
        assert job.status is JobStatus.COMPLETE, (job.status, job.error)
        assert job.result is not None
        self.check(job)
        return job.result

    def counts(self, path: Path | bytes, **options: Any) -> dict[str, int]:
        """Scan, make sure that it was complete, and give the numbers that are not 0."""
        return nonzero(self.result(path, **options))

    def scan_that_dies(self, path: Path | bytes, at: int, **options: Any) -> tuple[bool, Job]:
        """Scan in a worker that dies at its n-th transaction, then let another one take the job over.

        Gives whether it did die (False: there were fewer transactions) and the ended job.
        """
        return asyncio.run(self._scan_that_dies(os.fsencode(path), at, options))

    async def _scan_that_dies(self, path: bytes, at: int, options: dict[str, Any]) -> tuple[bool, Job]:
        self.queue = self._queue()
        await self.queue.submit(scan_request(ScanOptions(path=path, **options), self.repository))
        claim = await self.queue.claim("first")
        assert claim is not None
        died = await self._run_mortal(claim, at)
        self.now += 3_600_000_000  # the lease ends
        await self.queue.run_pending()
        return died, await self.queue.get(claim.job.id)

    async def _run_mortal(self, claim: Claim, at: int) -> bool:
        with self.catalogue.write() as connection:
            raise_fence(connection, claim)
        context = MortalContext(claim, self.catalogue)
        context.dies_at = at
        try:
            await self.handler(claim.job, context)
        except Died:
            return True
        except Exception:  # noqa: BLE001 - it failed by itself before its time, and will again
            return False
        return False

    def tree(self) -> Tree:
        """Give the videos: path to id and state; of several that were at one path, the one that is there."""
        found = sorted(self.videos(), key=lambda video: video.state != "missing")
        return {video.path_bytes: (video.id, video.state) for video in found}

    def states(self) -> dict[bytes, str]:
        """Give the videos: path to state."""
        return {path: state for path, (_, state) in self.tree().items()}

    def videos(self) -> list[Video]:
        """Give all videos."""
        found: list[Video] = []
        cursor: str | None = None
        while True:
            page = find(self.catalogue, sort="name", cursor=cursor, limit=200)
            found += page.videos
            cursor = page.next_cursor
            if cursor is None:
                return found

    def ledger(self, job: Job) -> dict[bytes, LedgerRow]:
        """Give a job's ledger by path."""
        rows, more = ledger.page(self.catalogue, job.id, outcome=None, cursor=None, limit=100_000)
        assert more is None
        return {row.path_bytes: row for row in rows}

    def check(self, job: Job) -> None:
        """Make sure of what holds after every scan: derived numbers, counters, change feed, index."""
        assert job.result is not None
        totals = dict.fromkeys(COUNTS, 0)
        for row in self.ledger(job).values():
            totals[row.outcome.value] += row.count
        assert totals == {name: job.result[name] for name in COUNTS}
        seen = ("new", "updated", "moved", "restored", "unchanged", "failed")
        assert job.result["scanned"] == sum(totals[name] for name in seen)
        self.check_catalogue()

    def check_catalogue(self) -> None:
        """Make sure that the counters, the change feed and the search index agree with the list."""
        with self.catalogue.read() as connection:
            real = {row[0]: row[1] for row in connection.execute(_COUNT_BY_LIBRARY)}
            told = {row.id: row.video_count for row in connection.execute(select(libraries))}
        assert told == {library: real.get(library, 0) for library in told}
        replayed = changes.replay(changes.read(self.catalogue, 0, 1_000_000))
        assert replayed == {video.id: (video.path_bytes, video.state) for video in self.videos()}


COUNTS = ("new", "updated", "moved", "restored", "unchanged", "missing", "skipped", "failed")
_COUNT_BY_LIBRARY = select(videos.c.library_id, func.count()).group_by(videos.c.library_id)


def nonzero(result: dict[str, Any]) -> dict[str, int]:
    """Give the counts of a scan's result that are not 0."""
    return {name: result[name] for name in COUNTS if result[name]}
