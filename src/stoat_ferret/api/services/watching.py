"""Libraries that are watched: what changes in one is scanned by itself, soon after.

Where the file system tells of changes (inotify), the folders that were touched are scanned. Where it does not (network
file systems, FUSE, no more watches), the whole library is scanned every so often, which costs little where nothing has
changed. Whichever it is, and why, is recorded with the library. Of several workers, the first that reaches a library
watches it; two that both believe to be the first do no harm, since equal scans are one job.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from stoat_ferret import paths
from stoat_ferret.api.services.requests import BY_ITSELF, NOTICED, with_settings
from stoat_ferret.api.services.scan import scan_request, scan_rules
from stoat_ferret.errors import LibraryNotFoundError, StorageError
from stoat_ferret.jobs.processes import host_name, this_process
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.models import Library, Watching
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.places import place_of
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.scan.tree_watch import CannotWatchError, TreeWatch
from stoat_ferret.scan.volume import Mount, Mounts
from stoat_ferret.settings import Settings

LOOK_SECONDS = 2.0
"""How often it is looked which libraries are to be watched, and whether something was mounted."""
READ_SECONDS = 0.25
RETRY_SECONDS = 10.0
"""How often a folder that is not there is looked for."""
SILENT_KINDS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "fuse.", "davfs", "vboxsf", "vmhgfs", "virtiofs")
"""File systems, by how their type begins, on which others may change files of which this machine is not told."""
FUSE = "fuse"
"""What a program of the user's answers for and does not name. Not `fuseblk`, which is a disk of this machine's."""

log = structlog.get_logger(__name__)

Submit = Callable[[Sequence[tuple[bytes, bool]], int], None]
Tell = Callable[[Watching | None, str | None], None]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched: another one of the same library has to be watched anew."""

    library_id: str
    path: bytes
    ignore: tuple[str, ...]
    exclude: frozenset[bytes]
    follow_symlinks: bool = False


class LibraryWatch(threading.Thread):
    """Watches one library until it is stopped.

    Args:
        watched: which.
        rules: of the library.
        poll_seconds: how often all is scanned where the file system does not tell.
        submit: submits scans of folders, each with whether of all below it, with a priority.
        tell: records how the library is watched, and why not by events.
    """

    def __init__(self, watched: Watched, rules: Rules, poll_seconds: float, submit: Submit, tell: Tell) -> None:
        super().__init__(name="watch", daemon=True)
        self._watched = watched
        self._rules = rules
        self._poll_seconds = poll_seconds
        self._submit = submit
        self._tell = tell
        self._told: tuple[Watching | None, str | None] | None = None
        self._stopped = threading.Event()
        self._scanned_at: float | None = None

    def stop(self) -> None:
        """Tell it to end; it does so within a second, unless a disk holds it."""
        self._stopped.set()

    def run(self) -> None:
        """Watch, or poll, and try the better way again."""
        while not self._stopped.is_set():
            try:
                self._watch()
            except CannotWatchError as error:
                self._say("polling", str(error))
                self._poll()
                while error.for_long and not (self._stopped.is_set() or self._is_due()):
                    self._stopped.wait(RETRY_SECONDS)
            except StorageError as error:
                log.warning("cannot submit what was noticed; looking again", error=error.message)
                self._stopped.wait(RETRY_SECONDS)
            except Exception:  # the thread's border: without it the library would seem watched and not be
                if self._stopped.is_set():
                    return  # the worker ends, and with it the loop that submits
                log.exception("watching a library failed; beginning anew", path=paths.display(self._watched.path))
                self._stopped.wait(RETRY_SECONDS)

    def _watch(self) -> None:
        mounted = self._mounted()
        silent = self._silent_place()
        if silent is not None:
            raise CannotWatchError(silent)
        path = self._watched.path
        with TreeWatch(path, self._rules, self._watched.exclude) as tree:
            self._say("events", None)
            # Nobody has noticed what happened until now.
            self._scan_all()
            looked = time.monotonic()
            while not (self._stopped.is_set() or tree.lost):
                tree.read(READ_SECONDS)
                if tree.due:
                    self._submit(tree.take_touched(), NOTICED)
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    if self._mounted() != mounted:
                        return

    def _scan_all(self) -> None:
        self._submit([(self._watched.path, True)], BY_ITSELF)
        self._scanned_at = time.monotonic()

    def _poll(self) -> None:
        """Scan all if that is due, and wait a little."""
        try:
            if self._is_due() and paths.is_folder(self._rules.here(self._watched.path)):
                self._scan_all()
        except StorageError as error:
            log.warning("cannot submit a scan; trying again", error=error.message)
        self._stopped.wait(RETRY_SECONDS)

    def _mounted(self) -> frozenset[Mount]:
        return Mounts().about(self._rules.here(self._watched.path))

    def _is_due(self) -> bool:
        return self._scanned_at is None or time.monotonic() - self._scanned_at >= self._poll_seconds

    def _silent_place(self) -> str | None:
        """Say where the library lies on a file system that does not tell, if it does."""
        if self._watched.follow_symlinks:
            return "Symbolic links are followed in it, and of what they lead to the system does not tell."
        mounts = Mounts()
        here = self._rules.here(self._watched.path)
        for point in [here, *mounts.points_below(here)]:
            kind = mounts.volume_of(point).kind
            if kind == FUSE or kind.startswith(SILENT_KINDS):
                return f"{paths.display(point)} lies on {kind}, which does not tell of changes that others make."
        return None

    def _say(self, watching: Watching | None, reason: str | None) -> None:
        if self._told != (watching, reason):
            self._tell(watching, reason)
            self._told = (watching, reason)


class Watcher:
    """Watches the libraries that are to be watched from this process.

    Args:
        queue: where scans are submitted, and who the workers are.
        repository: which libraries there are.
        settings: which files are videos, and how often to look where nobody tells.
        here: tells where a path of the catalogue lies on this machine.
        reaches: tells whether a place, as jobs name it, lies on this machine.
    """

    def __init__(
        self,
        queue: AsyncJobQueue,
        repository: LibraryRepository,
        settings: Settings,
        *,
        here: Callable[[bytes], bytes],
        reaches: Callable[[str], bool],
    ) -> None:
        self._queue = queue
        self._repository = repository
        self._settings = settings
        self._rules = scan_rules(settings, here)
        self._reaches = reaches
        self._running: dict[Watched, LibraryWatch] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._align()
                except StorageError as error:
                    log.warning("cannot look which libraries are watched; trying again", error=error.message)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for watched, watch in self._running.items():
                watch.stop()
                try:
                    self._record(watched.library_id, None, None)
                except StorageError as error:
                    log.warning("cannot record that a library is watched no more", error=error.message)

    async def _align(self) -> None:
        """Start and stop watching, as libraries and workers come and go."""
        libraries = await asyncio.to_thread(self._repository.libraries)
        wanted = {}
        for library in libraries:
            if library.watch and self._reaches(place_of(library.path_bytes)) and await self._is_mine(library):
                wanted[_watched(library, libraries)] = library
        for watched in [each for each in self._running if each not in wanted]:
            self._running.pop(watched).stop()
            log.info("library is watched no more", path=paths.display(watched.path))
        for library in libraries:
            if not library.watch and library.watching is not None:
                await asyncio.to_thread(self._record, library.id, None, None)
        for watched, library in wanted.items():
            if watched not in self._running:
                self._running[watched] = self._start(watched, library)

    def _start(self, watched: Watched, library: Library) -> LibraryWatch:
        def tell(watching: Watching | None, reason: str | None) -> None:
            self._record(watched.library_id, watching, reason)
            log.info("library is watched", path=paths.display(watched.path), by=watching, reason=reason)

        rules = self._rules.of_library(library.path_bytes, library.ignore)
        watch = LibraryWatch(watched, rules, self._settings.watch_poll_seconds, self._submit_from_thread, tell)
        watch.start()
        return watch

    def _record(self, library_id: str, watching: Watching | None, reason: str | None) -> None:
        try:
            self._repository.record_watching(library_id, watching, reason)
        except LibraryNotFoundError:  # forgotten meanwhile; the watch ends with it
            return

    async def _is_mine(self, library: Library) -> bool:
        """Tell whether this process is the first of the live workers that reach a library."""
        place, me = place_of(library.path_bytes), this_process()
        for worker in await self._queue.live_workers():
            if worker.places is None or any(paths.is_below(place.encode(), each.encode()) for each in worker.places):
                return (worker.host, worker.pid) == (host_name(me.host), me.pid)
        return True  # nobody has said that it is alive yet

    def _submit_from_thread(self, folders: Sequence[tuple[bytes, bool]], priority: int) -> None:
        assert self._loop is not None  # noqa: S101  # `run` has set it
        asyncio.run_coroutine_threadsafe(self._submit(folders, priority), self._loop).result()

    async def _submit(self, folders: Sequence[tuple[bytes, bool]], priority: int) -> None:
        for folder, recursive in folders:
            options = ScanOptions(path=folder, recursive=recursive)
            request = await asyncio.to_thread(scan_request, options, self._repository)
            await self._queue.submit(with_settings(request, self._settings, priority=priority))


def _watched(library: Library, libraries: Sequence[Library]) -> Watched:
    inner = [
        other.path_bytes
        for other in libraries
        if other is not library and paths.is_below(other.path_bytes, library.path_bytes)
    ]
    follow = library.follow_symlinks
    return Watched(library.id, library.path_bytes, tuple(library.ignore), frozenset(inner), follow)
