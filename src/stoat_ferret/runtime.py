"""The one place where objects are built and wired."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from stoat_ferret import __version__
from stoat_ferret.api.services.libraries import PURGE_JOB_TYPE, make_purge_handler
from stoat_ferret.api.services.maintenance import MAINTENANCE_JOB_TYPE, make_maintenance_handler
from stoat_ferret.api.services.parts import PART_JOB_TYPE, Shunned, make_part_handler
from stoat_ferret.api.services.previews import PreviewService
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE, disk_limits, make_scan_handler, probe_pool
from stoat_ferret.api.services.schedules import Scheduler, check_settings
from stoat_ferret.api.services.thumbnails import (
    THUMBNAILS_JOB_TYPE,
    followed_by_thumbnails,
    make_thumbnails_handler,
)
from stoat_ferret.api.services.verify import VERIFY_JOB_TYPE, make_verify_handler
from stoat_ferret.api.services.watching import Watcher
from stoat_ferret.db.engine import Database, open_postgres, open_sqlite, postgres_url
from stoat_ferret.db.migrate import is_there, upgrade
from stoat_ferret.db.reserve import Reserve
from stoat_ferret.errors import StorageError, StorageUnreachableError
from stoat_ferret.fork_server import ForkServer
from stoat_ferret.jobs.counting import count_regularly
from stoat_ferret.jobs.local import LocalJobQueue, ThreadedJobQueue
from stoat_ferret.jobs.queue import AsyncJobQueue, InMemoryJobQueue, JobHandler
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.jobs.supervisor import WorkerSupervisor
from stoat_ferret.jobs.worker import Worker
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.cache import PictureCache
from stoat_ferret.media.pool import FrameGrabber
from stoat_ferret.media.process import WORKER_MODULE, environment
from stoat_ferret.media.shelf import PoolShelf
from stoat_ferret.media.tally import ProbeTally
from stoat_ferret.places import Roots, parse_roots
from stoat_ferret.scan.disk import DiskShelf
from stoat_ferret.scan.disk_process import MODULE as DISK_MODULE
from stoat_ferret.settings import Settings, as_environment

WORKER_RESTARTS = "worker_restarts"
"""The counter of worker processes that ended under a server which was to keep one running."""
LONG_JOB_TYPES = frozenset({SCAN_JOB_TYPE, VERIFY_JOB_TYPE, THUMBNAILS_JOB_TYPE, MAINTENANCE_JOB_TYPE})


@dataclass(slots=True)
class Runtime:
    """Everything a process of this program works with. Close it at the end."""

    settings: Settings
    catalogue: Database
    repository: LibraryRepository
    queue: AsyncJobQueue
    handlers: Mapping[str, JobHandler]
    grabber: FrameGrabber
    previews: PreviewService
    job_store: JobStore | None
    """None where the queue is the one in memory."""
    roots: Roots
    """The folders that this machine's worker reaches."""
    forks: ForkServer
    """Of which the processes that look at disks and examine files are forked."""
    disks: DiskShelf
    pools: PoolShelf
    shunned: Shunned
    """Places that were found to hold other files here than elsewhere."""
    tally: ProbeTally
    """How long files took that were examined in this process's pools."""

    def worker(self) -> Worker:
        """Give a worker that runs jobs in this process."""
        return Worker(
            self.queue,
            self.handlers,
            catalogue=self.catalogue,
            slots=self.settings.worker_slots,
            long_types=LONG_JOB_TYPES,
            renew_seconds=self.settings.lease_renew_seconds,
            version=__version__,
            places=self.roots.places(),
            reaches=self._reaches if self.roots.roots or self.settings.database_url else None,
            beside=[self.scheduler().run, self.watcher().run, self._count],
        )

    def scheduler(self) -> Scheduler:
        """Give what submits jobs that are due by themselves."""
        return Scheduler(self.queue, self.repository, self.settings)

    def watcher(self) -> Watcher:
        """Give what scans watched libraries when something changes in them."""
        return Watcher(
            self.queue, self.repository, self.settings, here=self.roots.here_or_same, reaches=self.roots.reaches
        )

    async def _count(self) -> None:
        await count_regularly(self.queue, self.tally.take, every_seconds=self.settings.lease_renew_seconds)

    def _reaches(self, place: str) -> bool:
        return self.roots.reaches(place) and self.shunned.allows(place)

    def supervisor(self) -> WorkerSupervisor:
        """Give a supervisor that keeps one worker process running on the same data."""
        assert self.job_store is not None  # noqa: S101  # a queue in memory has no other process
        command = [sys.executable, "-m", "stoat_ferret", "worker", "--supervised"]
        return WorkerSupervisor(
            command,
            on_death=partial(_worker_died, self.job_store),
            is_silent=self.job_store.is_silent,
            env={**os.environ, **as_environment(self.settings)},
        )

    def close(self) -> None:
        """Close what was opened."""
        self.grabber.close()
        self.disks.close()
        self.pools.close()
        self.forks.close()
        if isinstance(self.queue, ThreadedJobQueue):
            self.queue.close()
        if self.job_store is not None:
            self.job_store.database.close()
        self.catalogue.close()


def open_runtime(settings: Settings, *, in_memory_jobs: bool = False) -> Runtime:
    """Build everything: makes the data directory, brings the databases to the present schema.

    Args:
        settings: what to build.
        in_memory_jobs: run jobs at once, in this process, when they are submitted, and forget them afterwards.

    Raises:
        StorageError: the data directory cannot be made or used, or the database server is not there.
        ConfigurationError: a setting cannot be used.
    """
    check_settings(settings)
    roots = parse_roots(settings.worker_roots)
    _make_data_directory(settings)
    with ExitStack() as opened, _reaching_the_server():
        catalogue = _open_catalogue(settings)
        opened.callback(catalogue.close)
        upgrade(catalogue, "library")
        repository = LibraryRepository(catalogue)
        store: JobStore | None = None
        queue: ThreadedJobQueue | InMemoryJobQueue
        if in_memory_jobs:
            queue = InMemoryJobQueue(catalogue)
        else:
            store, queue = _open_queue(settings, catalogue)
            opened.callback(store.database.close)
        tally = ProbeTally()
        forks = ForkServer([WORKER_MODULE, DISK_MODULE], environment)
        disks = DiskShelf(settings.list_timeout_seconds, forks=forks)
        open_pool = partial(probe_pool, settings, tally, disk_limits(settings), forks)
        pools, shunned = PoolShelf(open_pool), Shunned()
        pictures = PictureCache(settings.thumbnail_dir)
        handlers = _handlers(settings, repository, queue, roots, disks, pools, shunned, pictures)
        if isinstance(queue, InMemoryJobQueue):
            for job_type, handler in handlers.items():
                queue.register_handler(job_type, handler)
        grabber = FrameGrabber(memory_limit_bytes=settings.probe_memory_mib << 20)
        opened.pop_all()  # all went well: from here on the runtime closes it
        return Runtime(
            settings=settings,
            catalogue=catalogue,
            repository=repository,
            queue=queue,
            handlers=handlers,
            grabber=grabber,
            previews=PreviewService(pictures, grabber, timeout_seconds=settings.probe_timeout_seconds),
            job_store=store,
            roots=roots,
            forks=forks,
            disks=disks,
            pools=pools,
            shunned=shunned,
            tally=tally,
        )


def _worker_died(store: JobStore, pid: int) -> None:
    store.worker_died(pid)
    with suppress(StorageError):  # a number must not keep the next worker from starting
        store.count({WORKER_RESTARTS: 1})


def _handlers(
    settings: Settings,
    repository: LibraryRepository,
    queue: ThreadedJobQueue | InMemoryJobQueue,
    roots: Roots,
    disks: DiskShelf,
    pools: PoolShelf,
    shunned: Shunned,
    pictures: PictureCache,
) -> dict[str, JobHandler]:
    # Only on Postgres can there be workers elsewhere; a single machine's processors are busy with one scan.
    share_out = settings.database_url is not None
    scan = make_scan_handler(
        repository,
        settings,
        open_disk=disks.open,
        open_pool=pools.open,
        queue=queue,
        share_out=share_out,
        here=roots.here_or_same,
    )
    return {
        SCAN_JOB_TYPE: followed_by_thumbnails(scan, queue, repository, settings),
        PART_JOB_TYPE: make_part_handler(
            queue, repository, settings, pools, shunned, open_disk=disks.open, here=roots.here_or_same
        ),
        VERIFY_JOB_TYPE: make_verify_handler(repository, open_disk=disks.open, here=roots.here_or_same),
        THUMBNAILS_JOB_TYPE: make_thumbnails_handler(
            repository, pictures, pools, open_disk=disks.open, here=roots.here_or_same
        ),
        PURGE_JOB_TYPE: make_purge_handler(repository),
        MAINTENANCE_JOB_TYPE: make_maintenance_handler(queue, queue.store.database, repository.database, settings),
    }


def has_library(settings: Settings) -> bool:
    """Tell whether there is a library already where the settings say; makes nothing.

    Raises:
        StorageError: the database cannot be read.
    """
    if settings.database_url is None:
        return settings.library_database.exists()
    catalogue = _open_catalogue(settings)
    try:
        with _reaching_the_server():
            return is_there(catalogue)
    finally:
        catalogue.close()


def _make_data_directory(settings: Settings) -> None:
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        msg = f"The data directory {directory} cannot be made: {error.strerror}. Choose another with --data-dir."
        raise StorageError(msg) from error


def _open_catalogue(settings: Settings) -> Database:
    if settings.database_url is None:
        return open_sqlite(settings.library_database)
    return open_postgres(postgres_url(settings.database_url.get_secret_value()), "stoat_library")


def _open_queue(settings: Settings, catalogue: Database) -> tuple[JobStore, ThreadedJobQueue]:
    if settings.database_url is None:
        return _open_local_queue(settings, catalogue)
    # Not imported above: it takes a third of a second, which those without a server need not wait.
    from stoat_ferret.jobs.postgres import PostgresJobQueue, PostgresJobStore, install_engine

    records = open_postgres(postgres_url(settings.database_url.get_secret_value()), "stoat_jobs")
    try:
        upgrade(records, "jobs")
        install_engine(records)
    except StorageError:
        records.close()
        raise
    store = PostgresJobStore(
        records, lease_seconds=settings.lease_seconds, catalogue=catalogue, limits=settings.job_limits
    )
    return store, PostgresJobQueue(store)


def _open_local_queue(settings: Settings, catalogue: Database) -> tuple[JobStore, ThreadedJobQueue]:
    records = open_sqlite(settings.jobs_database)
    try:
        upgrade(records, "jobs")
    except StorageError:
        records.close()
        raise
    reserve = Reserve(settings.data_dir / "reserve")
    reserve.hold()
    catalogue.reserve = records.reserve = reserve
    store = JobStore(
        records,
        lease_seconds=settings.lease_seconds,
        catalogue=catalogue,
        limits=settings.job_limits,
    )
    return store, LocalJobQueue(store)


@contextmanager
def _reaching_the_server() -> Iterator[None]:
    """Say what to do where the server is not there: nobody tries again."""
    try:
        yield
    except StorageUnreachableError as error:
        sentence = error.message.removesuffix(" It is tried again by itself.")
        msg = f"{sentence} Start the server, or correct its address: STOAT_DATABASE_URL or --database-url."
        raise StorageUnreachableError(msg) from error
