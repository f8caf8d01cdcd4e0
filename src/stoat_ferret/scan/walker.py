"""The way through a tree: folders are listed a bounded way ahead of whoever takes the listings."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stoat_ferret import paths
from stoat_ferret.library.models import KnownFolder
from stoat_ferret.scan.compare import list_unless_same
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.listing import FolderListing, FolderProblem, SameFiles, join
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.volume import Mounts
from stoat_ferret.scan.walk import folder_problem, list_folder

ENTRIES_AHEAD = 20_000
"""No further folder is asked for while so many listed files wait; it bounds memory, not the size of a folder."""
RECALLED_AT_A_TIME = 64
"""So many folders' rows are asked for in one go, shortly before the folders are listed."""
MOST_TIMEOUTS = 3
"""After so many folders of one mounted file system of which it said nothing, it is not asked any more."""

Recall = Callable[[Sequence[bytes]], Mapping[bytes, KnownFolder]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A folder that a listing is asked for."""

    path: bytes
    rules: Rules
    """Of the folder that it lies in."""
    known: KnownFolder | None
    """None as well where its files are wanted whatever they are."""

    @property
    def question(self) -> tuple[Any, ...]:
        if self.known is None:
            return list_folder, self.path, self.rules
        return list_unless_same, self.path, self.rules, self.known.digest


class Walker:
    """Lists a folder, and with `recursive` all below it. One thread uses it.

    Args:
        start: the first folder.
        rules: of the folder that it lies in.
        disk: lists folders.
        recursive: list what is below it too.
        exclude: folders that are not listed, nor what is below them.
        recall: gives what the catalogue has of folders. Where that is enough to tell by the digest that nothing has
            changed in one, its listing comes without files (`SameFiles`).
    """

    def __init__(
        self,
        start: bytes,
        rules: Rules,
        disk: Disk,
        *,
        recursive: bool,
        exclude: Collection[bytes] = (),
        recall: Recall = lambda _paths: {},
    ) -> None:
        self._disk = disk
        self._recursive = recursive
        self._exclude = frozenset(exclude)
        self._here = rules.here
        self._ahead = [(start, rules)]
        self._recall = recall
        self._recalled: dict[bytes, KnownFolder | None] = {}
        self._asked: dict[int, _Asked] = {}
        self._listed: deque[FolderListing | FolderProblem] = deque()
        self._waiting_entries = 0
        self._silences: Counter[bytes] = Counter()
        self._mounts: Mounts | None = None

    @property
    def ended(self) -> bool:
        """True once everything was listed and taken."""
        return not (self._ahead or self._asked or self._listed)

    def take(self, timeout: float) -> FolderListing | FolderProblem | None:
        """Give the next listing; None when there is none within `timeout` seconds, or no more at all."""
        self._ask()
        if self._asked and self._waiting_entries < ENTRIES_AHEAD:
            for number, answer in self._disk.answers(0 if self._listed else timeout):
                self._take_answer(self._asked.pop(number), answer)
            self._ask()
        if not self._listed:
            return None
        listing = self._listed.popleft()
        self._waiting_entries -= _weight(listing)
        return listing

    def _ask(self) -> None:
        while self._ahead and self._disk.room and self._waiting_entries < ENTRIES_AHEAD:
            path, rules = self._ahead.pop()
            if self._silences and self._silences[self._mount_of(path)] >= MOST_TIMEOUTS:
                self._put(folder_problem(path, TimeoutError()))
            else:
                asked = _Asked(path, rules, self._known(path))
                self._asked[self._disk.ask(*asked.question)] = asked

    def _known(self, path: bytes) -> KnownFolder | None:
        """Give what is known of a folder whose files need not be sent if they are as its digest says."""
        if path not in self._recalled:
            next_ones = [path, *(path for path, _ in self._ahead[:-RECALLED_AT_A_TIME:-1])]
            known = self._recall(next_ones)
            self._recalled |= {each: known.get(each) for each in next_ones}
        found = self._recalled.pop(path)
        # Files that are known to be no usable videos are reported again, each by itself.
        return None if found is None or found.digest is None or found.reject_count else found

    def list_again(self, listing: FolderListing) -> FolderListing | FolderProblem:
        """List a folder with its files, whatever they are; what is below it is not listed once more."""
        assert listing.outside is not None  # noqa: S101  # it came without files
        try:
            return self._disk.call(list_folder, listing.path, listing.outside)
        except OSError as error:
            return folder_problem(listing.path, error)

    def _take_answer(self, asked: _Asked, answer: FolderListing | FolderProblem | OSError) -> None:
        if isinstance(answer, TimeoutError):
            self._silences[self._mount_of(asked.path)] += 1
        listing = folder_problem(asked.path, answer) if isinstance(answer, OSError) else answer
        if isinstance(listing, FolderListing) and isinstance(listing.files, SameFiles):
            listing = replace(listing, recalled=asked.known, outside=asked.rules)
        if self._recursive and isinstance(listing, FolderListing) and listing.rules is not None:
            below = (join(listing.path, name) for name in reversed(listing.folders))
            self._ahead += [(path, listing.rules) for path in below if path not in self._exclude]
        self._put(listing)

    def _put(self, listing: FolderListing | FolderProblem) -> None:
        self._listed.append(listing)
        self._waiting_entries += _weight(listing)

    def _mount_of(self, path: bytes) -> bytes:
        """Give where the file system of a folder is mounted, by the table of mounts alone: nothing is touched."""
        self._mounts = self._mounts or Mounts()
        return self._mounts.point_of(paths.absolute(self._here(path)))


def _weight(listing: FolderListing | FolderProblem) -> int:
    return 1 if isinstance(listing, FolderProblem) else 1 + len(listing.files)
