"""A listing held against the catalogue: what is to be examined in it, and what is known already without that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stoat_ferret.library import ledger
from stoat_ferret.library.models import FileKey, KnownFolder, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.results import FileResult
from stoat_ferret.scan.compare import FolderChanges, Seen, compare
from stoat_ferret.scan.ground import Ground
from stoat_ferret.scan.job import ScanJob
from stoat_ferret.scan.listing import FolderListing, join
from stoat_ferret.scan.moves import Tracer
from stoat_ferret.scan.scope import ScanOptions

NO_KEY = FileKey(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Match:
    """What a listing means."""

    known: KnownFolder | None
    changes: FolderChanges
    """With those files to probe that nothing else tells about."""
    results: list[FileResult]
    """What has become of the others, unchanged ones left out."""


class Matcher:
    """Holds one listing after another against the catalogue. Where the digest is as it was, that costs one row."""

    def __init__(
        self, options: ScanOptions, job: ScanJob, repository: LibraryRepository, tracer: Tracer, ground: Ground
    ) -> None:
        self._options = options
        self._job = job
        self._repository = repository
        self._tracer = tracer
        self._ground = ground
        self._nothing_changed = True  # by this scan: then what was known when a folder was asked for is known still

    def recall(self, places: Sequence[bytes]) -> Mapping[bytes, KnownFolder]:
        """Give what is known of folders by whose digests it can be told that nothing changed in them."""
        if self._options.force or self._options.only is not None:
            return {}
        return self._repository.folders_at(places)

    def look_again(self, listing: FolderListing) -> FolderListing | None:
        """Give a listing without files with what is known now; None where its files are needed after all."""
        if self._nothing_changed:
            return listing
        known = self._repository.folder(listing.path)
        if known is None or known.digest != listing.digest or known.reject_count:
            return None
        return replace(listing, recalled=known)

    def match(self, listing: FolderListing, mark: bytes) -> Match:
        """Give what a listing with this digest means; of one without files, `look_again` must have been asked."""
        known = listing.recalled or self._repository.folder(listing.path)
        changes = self._compare(listing, known, mark)
        traced = self._tracer.trace(changes.probe)
        found = [seen for seen in traced if self._is_found(seen)]
        changes = replace(changes, probe=tuple(seen for seen in traced if not self._is_found(seen)))
        if found or changes.probe or changes.restored or changes.refreshed or changes.gone:
            self._nothing_changed = False
        results = [*map(_rejected, changes.rejected), *map(_restored, changes.restored), *map(_found, found)]
        results += [
            FileResult(
                path=join(listing.path, oddity.name),
                key=NO_KEY,
                outcome=Outcome.SKIPPED,
                code=oddity.code,
                reason=oddity.reason,
                remember=False,
            )
            for oddity in listing.oddities
        ]
        return Match(known, changes, results)

    def _is_found(self, seen: Seen) -> bool:
        """Tell whether a file is one that was elsewhere, as it is: nothing of it needs to be read."""
        origin = seen.origin
        if origin is None or origin.outdated or self._options.force:
            return False
        return origin.key.same_file(seen.entry.key)

    def _compare(self, listing: FolderListing, known: KnownFolder | None, mark: bytes) -> FolderChanges:
        """Compare by digest, or file by file where that differs or everything is to be examined again."""
        if known is None:
            return compare(listing, {}, force=self._options.force)
        any_inode = self._ground.may_renumber(listing.path)
        only = self._options.only
        done = set[bytes]()
        if self._job.attempt > 1:
            done = ledger.stored_paths(self._repository.database, self._job.job_id, known.pk)
        if known.digest != mark or self._options.force or only is not None:
            files = self._repository.files_in(known.pk)
            if only is not None:
                path = join(listing.path, only)
                files = {path: files[path]} if path in files else {}
            return compare(listing, files, force=self._options.force, done=done, any_inode=any_inode)
        rejected: list[Seen] = []
        if known.reject_count:
            entries = {join(listing.path, entry.name): entry for entry in listing.files}
            unusable = self._repository.rejected_in(known.pk)
            rejected = [Seen(file.path, entries[file.path], file) for file in unusable if file.path in entries]
        return FolderChanges(
            probe=(),
            restored=(),
            rejected=tuple(rejected),
            unchanged=known.unchanged_count,
            newly_counted=known.unchanged_count - len(done),
            gone=(),
        )


def _rejected(seen: Seen) -> FileResult:
    """Report again, without looking at it again, a file that is known not to be a usable video."""
    known = seen.known
    assert known is not None  # noqa: S101  # `compare` puts only known files there
    assert known.reject_outcome is not None  # noqa: S101
    return FileResult(
        path=seen.path,
        key=seen.entry.key,
        outcome=known.reject_outcome,
        known=known,
        code=known.code,
        reason=known.reason,
        remember=False,
    )


def _found(seen: Seen) -> FileResult:
    """Let an entry go with its file; of one that is no usable video, that is what is known of it."""
    origin = seen.origin
    assert origin is not None  # noqa: S101  # the caller has looked
    if origin.video_pk is not None:
        outcome = Outcome.RESTORED if origin.path == seen.path else Outcome.MOVED
        return FileResult(path=seen.path, key=seen.entry.key, outcome=outcome, origin=origin)
    assert origin.reject_outcome is not None  # noqa: S101  # what is known and no video is one
    return FileResult(
        path=seen.path,
        key=seen.entry.key,
        outcome=origin.reject_outcome,
        origin=origin,
        code=origin.code,
        reason=origin.reason,
    )


def _restored(seen: Seen) -> FileResult:
    return FileResult(path=seen.path, key=seen.entry.key, outcome=Outcome.RESTORED, known=seen.known)
