"""The first four stages for one library: walk, compare, probe, store. What it finds out is enough to settle by.

With a distributor, what is to be examined is handed on in parts, unless it is so little that it is done here at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stoat_ferret import paths
from stoat_ferret.errors import ConfigurationError, LibraryOfflineError
from stoat_ferret.jobs.context import JobCancelled
from stoat_ferret.library import absence, traces
from stoat_ferret.library.models import KnownFolder
from stoat_ferret.library.repository import LibraryRepository, steps
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.scan.compare import Seen, digest, settled
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.estimate import Estimate
from stoat_ferret.scan.examine import Examiner, OpenFolder, still_written
from stoat_ferret.scan.ground import Ground, innermost, look
from stoat_ferret.scan.held import Due, Held
from stoat_ferret.scan.job import Distributor, ScanJob
from stoat_ferret.scan.listing import FolderListing, FolderProblem, join
from stoat_ferret.scan.matching import Matcher
from stoat_ferret.scan.moves import Tracer
from stoat_ferret.scan.onefile import OneFile
from stoat_ferret.scan.online import ensure_online, record_problem
from stoat_ferret.scan.parts import Parting
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import Obstacle, ScanOptions, Target, descend, why_ignored
from stoat_ferret.scan.settle import absent_folders
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.store import Writer
from stoat_ferret.scan.walk import empty_link, folder_problem
from stoat_ferret.scan.walker import Walker

POLL_SECONDS = 0.05
"""The longest wait in the loop; cancellation is seen, and batches are written, at least so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What there is to settle one library by; plain JSON values, since a scan may go on in another process."""

    library_id: str
    whole: bool
    """True where all of the library was walked."""
    present_before: int
    """Videos that were there, not missing, before this scan."""
    listed: int
    """Files that are there."""
    proven: bool
    """True where every folder could be listed."""
    absent: list[int]
    """Keys of the folders that are gone; what was in them is noted as gone."""

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return asdict(self)


def is_whole(target: Target, options: ScanOptions) -> bool:
    """Tell whether all of a library is scanned."""
    return options.recursive and target.start == target.library.path_bytes


class Survey:
    """The survey of one library, or of a part of it."""

    def __init__(
        self,
        target: Target,
        options: ScanOptions,
        job: ScanJob,
        repository: LibraryRepository,
        rules: Rules,
        disk: Disk,
        sight: Sight,
        pool: Callable[[], ProbePool],
        distributor: Distributor | None,
    ) -> None:
        self._disk = disk
        self._target = target
        self._options = options
        self._job = job
        self._repository = repository
        self._rules = rules
        self._examiner = Examiner(pool, sight)
        self._tracer = Tracer(repository, sight)
        self._writer = Writer(job.transaction, job.job_id, dry_run=options.dry_run, tracer=self._tracer)
        self._matcher = Matcher(options, job, repository, self._tracer, Ground())
        self._held = Held(target.library.settle_seconds, sight, time.time_ns)
        self._ground = Ground()
        self._parting = None if distributor is None else Parting(distributor, job, self._writer)
        self._unproven: list[bytes] = []
        self._start_is_gone = False
        self._phase = "walk"
        self._listed = self._done = 0
        self._present = repository.count_present(target.library.id)
        brought = repository.count_brought(target.library.id, job.job_id)
        # What came since must not make a loss look smaller: neither by this job's earlier attempt, nor since a scan
        # stopped at a mass loss.
        self._present_before = min(self._present - brought, target.library.lost_from or self._present)

    def run(self) -> Surveyed:
        """Do it; blocks until it is done, or handed on.

        Raises:
            LibraryOfflineError: the library's folder is not there, or is empty where it was not.
            PathNotReadableError: it may not be read.
            StorageError: the catalogue could not be written.
        """
        with self._job.transaction() as connection:
            absence.clear(connection, self._job.job_id, self._target.library.id)
        self._ensure_online()
        self._look_at_volumes()
        found = self._other_volume() or self._descend()
        if isinstance(found, Obstacle):
            self._start_is_gone = found.gone
            self._take_obstacle(found)
        else:
            self._walk(found)
        return self._conclude()

    def _ensure_online(self) -> None:
        ensure_online(
            self._target.library,
            self._options,
            self._job,
            self._repository,
            self._rules,
            self._disk,
            present=self._present,
        )

    def _look_at_volumes(self) -> None:
        """Find out which volumes lie here, and record those that are new.

        Raises:
            LibraryOfflineError: the library's own folder lies on another one.
        """
        target, options = self._target, self._options
        try:
            self._ground = look(
                target.library,
                target.exclude,
                self._repository,
                self._rules.here,
                self._disk,
                accept_loss=options.accept_loss,
            )
        except LibraryOfflineError:
            if not options.dry_run:
                with self._job.transaction() as connection:
                    self._repository.set_library_state(connection, target.library.id, "offline")
            raise
        # What goes by another name is recorded once all of it was compared: until then its inodes are the old name's.
        late = frozenset() if options.accept_loss else self._ground.renamed
        self._record_volumes(self._ground.dropped, without=late)
        self._matcher = Matcher(options, self._job, self._repository, self._tracer, self._ground)

    def _record_volumes(self, dropped: frozenset[bytes], *, without: frozenset[bytes] = frozenset()) -> None:
        news = {point: row for point, row in self._ground.news().items() if point not in without}
        if (news or dropped) and not self._options.dry_run:
            with self._job.transaction() as connection:
                traces.record_volumes(connection, self._target.library.id, news, dropped)
            self._tracer.look_at_volumes()

    def _other_volume(self) -> Obstacle | None:
        point = innermost(self._target.start, self._ground.refused)
        if point is None:
            return None
        problem = self._ground.refused[point]
        return Obstacle(False, problem.path, problem.code, problem.reason)

    def _descend(self) -> Obstacle | Rules:
        start = self._target.start
        try:
            return self._disk.call(descend, start, self._target.library.path_bytes, self._rules)
        except OSError as error:
            problem = folder_problem(start, error)
            return Obstacle(False, problem.path, problem.code, problem.reason)

    def _conclude(self) -> Surveyed:
        """Note what is gone."""
        self._ensure_online()  # the disk may have gone away meanwhile
        if self._options.recursive and self._options.only is None:
            start = self._target.start
            elsewhere = (point for point in self._ground.renamed if not paths.is_below(point, start))
            self._record_volumes(frozenset(), without=frozenset(elsewhere))
        absent = self._absent()
        for reason, keys in self._by_reason(absent):
            with self._job.transaction() as connection:
                absence.note_folders(connection, self._job.job_id, keys, reason=reason, dry_run=self._options.dry_run)
        return Surveyed(
            library_id=self._target.library.id,
            whole=is_whole(self._target, self._options),
            present_before=self._present_before,
            listed=self._listed,
            proven=not self._unproven,
            absent=[folder.pk for folder in absent],
        )

    def _walk(self, rules: Rules) -> None:
        """Walk, compare, probe and store, until all of it is done or the job is to end."""
        target, recursive = self._target, self._options.recursive
        # What an attempt that was cut off has stored says little about how much there is.
        first = self._job.attempt == 1
        known = self._repository.count_known(target.library.id, target.start, recursive=recursive) if first else 0
        exclude = target.exclude | frozenset(self._ground.refused)
        walker: Walker | OneFile
        if self._options.only is not None:
            walker = OneFile(target.start, self._options.only, rules, self._disk)
        else:
            recall = self._matcher.recall
            walker = Walker(target.start, rules, self._disk, recursive=recursive, exclude=exclude, recall=recall)
        for problem in self._ground.refused.values():
            if paths.is_below(problem.path, target.start):
                self._take_problem(problem)
        with Estimate(target, rules, recursive=recursive, known=known) as estimate:
            while not (walker.ended and self._all_in_hand() and self._examiner.idle):
                try:
                    self._job.raise_if_cancelled()
                    self._go_on(walker)
                except (JobCancelled, ConfigurationError):
                    self._writer.flush()  # what was examined is kept, and on the disk before that is said
                    raise
                total = self._listed if walker.ended else estimate.total(self._listed)
                self._report(total)
            self._writer.flush()
            self._writer.decide()

    def _go_on(self, walker: Walker | OneFile) -> None:
        self._compare_some(walker)
        self._release(walker)
        for folder, result in self._examiner.step(POLL_SECONDS):
            self._writer.add(folder, result)
            self._done += 1
        self._writer.flush_if_due()

    def _all_in_hand(self) -> bool:
        """At the end of the walk: hand on what is left, or examine it here where nothing was handed on before."""
        if self._held:
            return False
        if self._parting is not None:
            for folder, files in self._parting.rest():
                self._examiner.add(folder, files)
        return True

    def _release(self, walker: Walker | OneFile) -> None:
        """Let files be examined that have waited long enough."""
        for due in self._held.settled():
            self._take_due(due)
        if not walker.ended:
            return
        if not self._examiner.idle:
            return
        self._writer.flush()  # so that every entry is where its file was found
        replaced = self._held.replaced()
        for folder, seen in replaced:
            known = seen.known if seen.known is not None and not self._tracer.has_claimed(seen.known) else None
            self._examine(folder, [replace(seen, known=known)])
        if self._held and not replaced:
            time.sleep(min(POLL_SECONDS, self._held.seconds_left()))

    def _take_due(self, due: Due) -> None:
        if due.settled:
            self._examine(due.folder, self._tracer.trace([due.seen]))
            return
        due.folder.digest = None
        result = still_written(due.seen)
        if due.vanished:
            result = replace(result, code="VANISHED", reason="The file went away while the folder was scanned.")
        self._writer.add(due.folder, result)
        self._done += 1

    def _examine(self, folder: OpenFolder, files: Sequence[Seen]) -> None:
        if self._parting is not None:
            self._parting.add(folder, files)
        else:
            self._examiner.add(folder, files)

    def _compare_some(self, walker: Walker | OneFile) -> None:
        """Compare folders until there is enough to examine, or none is listed, or it has taken long enough."""
        until = time.monotonic() + POLL_SECONDS
        while self._examiner.hungry and (listing := walker.take(POLL_SECONDS if self._examiner.idle else 0)):
            self._take(self._with_files_if_needed(listing, walker))
            self._writer.flush_if_due()
            if time.monotonic() >= until:
                return

    def _with_files_if_needed(
        self, listing: FolderListing | FolderProblem, walker: Walker | OneFile
    ) -> FolderListing | FolderProblem:
        if isinstance(walker, OneFile) or isinstance(listing, FolderProblem) or listing.recalled is None:
            return listing
        return self._matcher.look_again(listing) or walker.list_again(listing)

    def _report(self, total: int | None) -> None:
        current = self._examiner.current
        if current is not None:
            current = current.removeprefix(self._target.library.path_bytes).lstrip(b"/")
        shown = None if current is None else paths.display(current)
        elsewhere = 0 if self._parting is None else self._parting.done()
        # Once there was a file to examine the phase stays so: the rate is reckoned anew with each phase.
        self._phase = "probe" if shown or elsewhere else self._phase
        self._job.progress(self._phase, self._done + elsewhere, total, current=shown)

    def _take(self, listing: FolderListing | FolderProblem) -> None:
        """Compare one listing and pass on what is to be done."""
        if isinstance(listing, FolderProblem):
            self._take_problem(listing)
            return
        if listing.linked and listing.empty and not self._options.accept_loss:
            self._take_problem(empty_link(listing.path))
            return
        mark = listing.digest or digest(listing, self._rules)
        match = self._matcher.match(listing, mark)
        changes = match.changes
        folder = OpenFolder(
            path=listing.path,
            library_id=self._target.library.id,
            known=match.known,
            digest=mark if settled(listing, time.time_ns()) and self._options.only is None else None,
            changes=changes,
            remaining=len(match.results) + len(changes.probe),
        )
        for result in match.results:
            if result.origin is not None:
                folder.tally(result)
            self._writer.add(folder, result)
            self._writer.flush_if_due()
        if changes.refreshed:
            self._writer.refresh(folder)
        probe = [seen for seen in changes.probe if not self._held.takes(folder, seen)]
        if probe:
            self._examine(folder, probe)
        if not folder.remaining and not match.results:
            self._writer.close(folder)
        self._listed += len(listing.files)
        self._done += len(listing.files) - len(changes.probe)

    def _take_problem(self, problem: FolderProblem) -> None:
        self._unproven.append(problem.path)
        self._record_skipped(problem.path, problem.code, problem.reason)

    def _take_obstacle(self, obstacle: Obstacle) -> None:
        if not obstacle.gone:
            self._unproven.append(self._target.start)
        if obstacle.code and obstacle.reason:
            self._record_skipped(obstacle.path, obstacle.code, obstacle.reason)

    def _record_skipped(self, path: bytes, code: str, reason: str) -> None:
        with self._job.transaction() as connection:
            record_problem(connection, self._job.job_id, FolderProblem(path, code, reason))

    def _absent(self) -> list[KnownFolder]:
        """Give the folders that are gone."""
        if self._options.only is not None:
            self._note_file()
            return []
        if not self._options.recursive:
            folder = self._repository.folder(self._target.start) if self._start_is_gone else None
            return [] if folder is None else [folder]
        visited = self._writer.visited
        known = self._repository.folders_besides(self._target.library.id, self._target.start, visited)
        return list(absent_folders(known, unproven=self._unproven))

    def _by_reason(self, absent: Sequence[KnownFolder]) -> Iterator[tuple[str | None, Sequence[int]]]:
        """Give the keys of folders in steps, each with why they count as gone if they are there."""
        reasons: dict[str | None, list[int]] = {}
        for folder in absent:
            rule = why_ignored(folder.path, self._target.library.path_bytes, self._rules)
            reason = None if rule is None else f"An ignore rule leaves out the folder that it lies in ({rule})."
            reasons.setdefault(reason, []).append(folder.pk)
        for reason, keys in reasons.items():
            for step in steps(keys):
                yield reason, step

    def _note_file(self) -> None:
        """Take the one file that is scanned as gone where the folder that it was in is."""
        path = join(self._target.start, self._options.only or b"")
        known = traces.present_at(self._repository.database, [path]).get(path) if self._start_is_gone else None
        if known is not None:
            with self._job.transaction() as connection:
                absence.note(connection, self._job.job_id, [known])
