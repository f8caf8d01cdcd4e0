"""The scan.

    walk ──► compare ──► probe ──► store ──► settle

A scan is split among the libraries it touches (`scope`), and for each of them:

1. *walk* lists one folder after another in a thread of its own, a bounded way ahead. A folder is listed as a whole, or
   it is a problem and proves nothing.
2. *compare* takes a listing. If its digest is the one that is stored, every file in it is unchanged and costs nothing
   more. Otherwise each file is compared with what is known of it: size, mtime and inode.
3. *probe* examines what is new or changed, in processes that can be killed.
4. *store* writes outcomes, ledger rows and changes in batches, each in one transaction that checks this run's token. A
   scan that is cut off goes on where it was simply by starting again: what was stored is found unchanged.
5. *settle* looks, when all has been listed and stored, at what is gone. A library that is offline, and a loss too
   large to be likely, stop the scan before anything is marked missing.

The first four are a `Survey`: one thread runs its loop; the walker and the processes work beside it, and every arrow is
bounded, so memory does not grow with the tree. Where there is a distributor, *probe* and *store* are handed on in parts
to all workers that reach the folder; the scan then ends its turn with a checkpoint (`Waits`), and is called again with
it, perhaps in another process, to settle once the last part has ended.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from stoat_ferret.errors import LibraryOfflineError, MassLossError, PathNotReadableError, ScanError
from stoat_ferret.library import ledger
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository, new_library
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.scan.conclude import account_for, conclude
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.job import Distributor, ScanJob
from stoat_ferret.scan.report import ScanReport, read_report
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import ScanOptions, covering, targets
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.survey import Survey, Surveyed

OpenDisk = Callable[[Callable[[], None]], AbstractContextManager[Disk]]
OpenPool = Callable[[], AbstractContextManager[ProbePool]]

TROUBLES: dict[str, type[ScanError | PathNotReadableError]] = {
    kind.__name__: kind for kind in (LibraryOfflineError, MassLossError, PathNotReadableError, ScanError)
}


@dataclass(slots=True)
class Waits:
    """What a scan that has handed on parts has to know when they have ended."""

    surveyed: list[Surveyed] = field(default_factory=list)
    troubles: list[ScanError | PathNotReadableError] = field(default_factory=list)
    since: float = 0.0
    """Wall clock, in seconds since 1970 UTC."""

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {
            "surveyed": [each.to_json() for each in self.surveyed],
            "troubles": [[type(trouble).__name__, trouble.message] for trouble in self.troubles],
            "since": self.since,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Waits":
        """Read it back."""
        return cls(
            [Surveyed(**each) for each in values["surveyed"]],
            [TROUBLES[kind](message) for kind, message in values["troubles"]],
            values["since"],
        )


def run_scan(
    options: ScanOptions,
    job: ScanJob,
    repository: LibraryRepository,
    rules: Rules,
    *,
    max_loss_fraction: float,
    settle_seconds: float,
    open_disk: OpenDisk,
    open_pool: OpenPool,
    distributor: Distributor | None = None,
    checkpoint: dict[str, Any] | None = None,
) -> ScanReport | Waits:
    """Scan a folder; blocks until it is done, or handed on.

    Args:
        options: what to scan and how.
        job: the job that this scan is.
        repository: the catalogue.
        rules: which names are looked at.
        max_loss_fraction: for a library that is made by this scan.
        settle_seconds: likewise.
        open_disk: opens what folders are looked at with, given what is to be done while that takes long.
        open_pool: opens the pool of probe processes, if any file is to be examined; it is let go before this returns.
        distributor: hands parts of the work to other jobs; without, all of it is done here.
        checkpoint: of a scan whose parts have ended.

    Raises:
        LibraryOfflineError: a library's folder is not there, or is empty where it was not.
        MassLossError: too much is gone; nothing was marked missing.
        PathNotReadableError: a library's folder may not be read.
        ScanError: one of these; of a scan above several libraries, the first, with the messages of all.
        StorageError: the catalogue could not be written.
    """
    scan = _Scan(options, job, repository, rules, new_library_with=(max_loss_fraction, settle_seconds))
    if checkpoint is not None:
        scan.go_on(Waits.from_json(checkpoint), open_disk, distributor)
    elif (waits := scan.begin(open_disk, open_pool, distributor)) is not None:
        return waits
    scan.raise_troubles()
    return read_report(repository.database, job.job_id)


class _Scan:
    """One scan's libraries in turn; the trouble of one does not keep the others from being scanned."""

    def __init__(
        self,
        options: ScanOptions,
        job: ScanJob,
        repository: LibraryRepository,
        rules: Rules,
        *,
        new_library_with: tuple[float, float],
    ) -> None:
        self._new_library_with = new_library_with
        self._options = options
        self._job = job
        self._repository = repository
        self._rules = rules
        self._troubles: list[ScanError | PathNotReadableError] = []

    def begin(self, open_disk: OpenDisk, open_pool: OpenPool, distributor: Distributor | None) -> Waits | None:
        """Survey every library; settle each at once, as long as no part was handed on."""
        options, job, repository = self._options, self._job, self._repository
        libraries = repository.libraries()
        if covering(options.path, libraries) is None:
            if options.dry_run:
                libraries.append(new_library(options.path, *self._new_library_with))
            else:
                with job.transaction() as connection:
                    libraries.append(repository.add_library(connection, options.path, *self._new_library_with))
        waits = Waits()
        with ExitStack() as opened:
            # Starting processes costs more than an unchanged rescan of thousands of files, so it waits for the first.
            disk = opened.enter_context(open_disk(job.raise_if_cancelled))
            # A look at a single file is not to wait behind the listings that are asked for ahead. It is taken even once
            # the job is to end, so that what was examined can be stored.
            looks = opened.enter_context(open_disk(lambda: None))
            sight = Sight(self._rules.here, libraries, looks)
            pool = cache(lambda: opened.enter_context(open_pool()))
            for target in targets(options, libraries):
                try:
                    rules = self._rules_of(target.library)
                    survey = Survey(target, options, job, repository, rules, disk, sight, pool, distributor)
                    surveyed = survey.run()
                    if distributor is not None and distributor.counts()[1]:
                        waits.surveyed.append(surveyed)
                    else:
                        conclude(surveyed, target.library, options, job, repository, rules, disk)
                except (ScanError, PathNotReadableError) as trouble:
                    self._troubles.append(trouble)
        if not waits.surveyed:
            return None
        waits.troubles, waits.since = self._troubles, time.time()
        return waits

    def go_on(self, waits: Waits, open_disk: OpenDisk, distributor: Distributor | None) -> None:
        """Settle the libraries whose parts have ended."""
        self._job.raise_if_cancelled()
        self._troubles = waits.troubles
        failed = [] if distributor is None else distributor.failed()
        account_for(failed, self._job, self._repository)
        with self._job.transaction() as connection:
            ledger.add_cost(connection, self._job.job_id, 0, max(0.0, time.time() - waits.since))
        with open_disk(self._job.raise_if_cancelled) as disk:
            for surveyed in waits.surveyed:
                try:
                    library = self._repository.library(surveyed.library_id)
                    rules = self._rules_of(library)
                    conclude(surveyed, library, self._options, self._job, self._repository, rules, disk)
                except (ScanError, PathNotReadableError) as trouble:
                    self._troubles.append(trouble)

    def _rules_of(self, library: Library) -> Rules:
        return self._rules.of_library(library.path_bytes, library.ignore, follow_symlinks=library.follow_symlinks)

    def raise_troubles(self) -> None:
        """Fail with the first of the troubles there were, and the messages of all."""
        if self._troubles:
            first = self._troubles[0]
            raise type(first)(" ".join(trouble.message for trouble in self._troubles)) from first
