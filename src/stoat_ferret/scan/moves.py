"""Where a file was before: looked for by its inode before anything is read, and by its content before an id is minted.

A file that is known by (volume, inode, size, mtime) has moved if it is no longer where it was. If it still is, the two
are one file with two names, or a copy. An inode number alone says little, as file systems use one again at once; so
where the file system tells when a file was made, that must agree, and it must where the file was edited besides.
"""

import os
import time
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stoat_ferret import paths
from stoat_ferret.library import traces
from stoat_ferret.library.models import KnownFile, Outcome
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.results import FileResult
from stoat_ferret.scan.compare import Seen
from stoat_ferret.scan.ground import innermost
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.volume import Mounts, Volume

MOST_CANDIDATES = 16
"""So many entries are looked at for one file: a file may have thousands of names."""

FRESH_SECONDS = 0.2
"""So old may be what is known of the mounts where it is to prove that a file is gone."""

MOST_UNDECIDED = 20_000
"""So many new files whose content is known from elsewhere wait for the walk's end; more are decided at once."""


class Tracer:
    """Finds the entries that files had before. Which volumes are recorded it knows as of when it was made.

    Args:
        repository: the catalogue.
        sight: looks at files.
    """

    def __init__(self, repository: LibraryRepository, sight: Sight) -> None:
        self._database = repository.database
        self._sight = sight
        self._here = sight.here
        self._claimed: set[int] = set()
        self.look_at_volumes()

    def look_at_volumes(self) -> None:
        """Take in which volumes there are, and which are recorded."""
        self._look_at_mounts()
        self._recorded = {
            point: Volume(row.source, row.kind, row.name, row.root)
            for point, row in traces.recorded_volumes(self._database).items()
        }

    def _look_at_mounts(self) -> None:
        self._mounts = Mounts()
        self._looked_at = time.monotonic()

    def has_claimed(self, known: KnownFile) -> bool:
        """Tell whether an entry has gone with a file that was found elsewhere."""
        return known.video_pk is not None and known.video_pk in self._claimed

    def trace(self, files: Sequence[Seen]) -> list[Seen]:
        """Give the files, those that are known from elsewhere with their `origin` or `twin`; reads no content."""
        inodes = {seen.entry.key.inode for seen in files} - {0}
        known = traces.by_inode(self._database, inodes) if inodes else {}
        return [self._traced(seen, known.get(seen.entry.key.inode, ())) for seen in files]

    def _traced(self, seen: Seen, candidates: Sequence[KnownFile]) -> Seen:
        mine = seen.known.video_pk if seen.known else None
        exact = [each for each in candidates if each.key.same_file(seen.entry.key)]
        edited = [each for each in candidates if each not in exact and each.video_pk is not None]
        twin: KnownFile | None = None
        folder = seen.path.rpartition(b"/")[0]
        for each in sorted(exact + edited, key=lambda each: _likeliest_first(each, folder))[:MOST_CANDIDATES]:
            if (each.video_pk is not None and each.video_pk == mine) or (
                each.path == seen.path and each.video_pk is None
            ):
                continue
            if self.has_claimed(each):  # it has gone with another name of the same file
                continue
            if not self._same_volume(each, seen) or not self._same_birth(each, seen, surely=each not in exact):
                continue
            if each.state == "missing" or self._has_left(each, seen):
                if each.video_pk is not None:
                    self._claimed.add(each.video_pk)
                return replace(seen, origin=each)
            if each in exact and each.video_pk is not None and self._is_same_inode(each, seen):
                twin = twin or each
        return replace(seen, twin=twin) if twin else seen

    def by_content(self, results: Sequence[FileResult]) -> list[FileResult]:
        """Give results of examining files, the new ones with the entry whose content they hold and which is gone.

        Only what fits beyond doubt: one new file and one entry with the same fingerprint, else those of equal name.
        """
        found = list(results)
        for numbers, gone in self._alike(results):
            for number, origin in _pairs([results[number].path for number in numbers], gone):
                index = numbers[number]
                if origin.video_pk is not None:
                    self._claimed.add(origin.video_pk)
                found[index] = replace(found[index], origin=origin, outcome=Outcome.MOVED)
        return found

    def undecided(self, results: Sequence[FileResult]) -> set[int]:
        """Tell which of the results may be of files that were elsewhere: whose entry's own file may turn up yet."""
        return {number for numbers, _ in self._alike(results) for number in numbers}

    def _alike(self, results: Sequence[FileResult]) -> Iterator[tuple[list[int], list[KnownFile]]]:
        """Give, for each content that is both new and known from what is gone, the new files and those entries."""
        new: dict[str, list[int]] = defaultdict(list)
        for number, result in enumerate(results):
            if result.outcome is Outcome.NEW and result.info and result.fingerprint and result.twin is None:
                new[result.fingerprint].append(number)
        known = traces.by_fingerprint(self._database, list(new)) if new else {}
        for fingerprint, numbers in new.items():
            free = [each for each in known.get(fingerprint, ()) if each.video_pk not in self._claimed]
            gone = [each for each in free if each.state == "missing" or self._is_away(each)]
            if gone:
                yield numbers, gone

    def _same_volume(self, known: KnownFile, seen: Seen) -> bool:
        point = innermost(known.path, self._recorded)
        if point is None:
            return known.key.device == seen.entry.key.device
        return self._recorded[point].same_as(self._mounts.volume_of(self._here(seen.path)))

    def _same_birth(self, known: KnownFile, seen: Seen, *, surely: bool) -> bool:
        """Tell whether both were made at the same moment; where nobody knows, `surely` says that they were not."""
        if known.birth_ns is None:
            return not surely
        born = self._sight.birth_ns(seen.path)
        return born == known.birth_ns if born is not None else not surely

    def _has_left(self, known: KnownFile, seen: Seen) -> bool:
        """Tell whether a file is not where it was known to be."""
        try:
            status = self._sight.status(known.path)
        except (FileNotFoundError, NotADirectoryError):
            return self._is_proof(known.path)
        except OSError:
            return False
        if (status.st_size, status.st_mtime_ns) != (known.key.size, known.key.mtime_ns):
            return not self._is_same_inode(known, seen)
        # The same file still: unless names differ in case or form only, and the file system does not tell them apart.
        return _alike(known.path, seen.path) and not self._is_listed(known.path)

    def _is_same_inode(self, known: KnownFile, seen: Seen) -> bool:
        try:
            there, here = self._sight.status(known.path), self._sight.status(seen.path)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _is_away(self, known: KnownFile) -> bool:
        try:
            status = self._sight.status(known.path)
        except (FileNotFoundError, NotADirectoryError):
            return self._is_proof(known.path)
        except OSError:
            return False
        return status.st_ino != known.key.inode and status.st_size != known.key.size

    def _is_proof(self, path: bytes) -> bool:
        """Tell whether it means anything that nothing is at a path: its volume must be the one that it was on."""
        if self._sight.is_behind_broken_link(path):
            return False
        point = innermost(path, self._recorded)
        if point is None:
            return False
        try:
            self._sight.status(point)
        except OSError:
            return False
        # A disk may have been unmounted since the scan began.
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            self._look_at_mounts()
        return self._recorded[point].same_as(self._mounts.volume_of(self._here(point)))

    def _is_listed(self, path: bytes) -> bool:
        """Tell whether a path is there letter by letter: some file systems find a name in any case."""
        place = b"/"
        for name in path.strip(b"/").split(b"/"):
            try:
                with os.scandir(self._here(place)) as entries:
                    if not any(entry.name == name for entry in entries):
                        return False
            except OSError:
                return True  # nothing can be told
            place = place.rstrip(b"/") + b"/" + name
        return True


def _likeliest_first(known: KnownFile, folder: bytes) -> tuple[bool, bool]:
    """Sort what was in the same folder before the rest: a file that is known by two ways was renamed in both."""
    return known.path.rpartition(b"/")[0] != folder, known.state != "missing"


def _pairs(new: Sequence[bytes], gone: Sequence[KnownFile]) -> list[tuple[int, KnownFile]]:
    """Give which of some new files is which of some that are gone, all of one content."""
    if len(new) == 1 and len(gone) == 1:
        return [(0, gone[0])]
    pairs: list[tuple[int, KnownFile]] = []
    for number, path in enumerate(new):
        name = path.rpartition(b"/")[2]
        named = [each for each in gone if each.path.rpartition(b"/")[2] == name]
        also = [other for other in new if other.rpartition(b"/")[2] == name]
        if len(also) == 1 and named:
            pairs.append((number, named[0]))
    return pairs


def _alike(one: bytes, other: bytes) -> bool:
    """Tell whether two paths may be one where case, or how accents are written, does not count."""
    return _folded(one) == _folded(other)


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFC", paths.display(path)).casefold()
