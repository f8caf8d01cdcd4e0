"""The way through a tree: folders are listed a bounded way ahead of whoever takes the listings."""

from collections import Counter, deque
from collections.abc import Collection

from stoat_ferret import paths
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.listing import FolderListing, FolderProblem, join
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.volume import Mounts
from stoat_ferret.scan.walk import folder_problem, list_folder

ENTRIES_AHEAD = 20_000
"""No further folder is asked for while so many listed files wait; it bounds memory, not the size of a folder."""
MOST_TIMEOUTS = 3
"""After so many folders of one mounted file system of which it said nothing, it is not asked any more."""


class Walker:
    """Lists a folder, and with `recursive` all below it. One thread uses it.

    Args:
        start: the first folder.
        rules: of the folder that it lies in.
        disk: lists folders.
        recursive: list what is below it too.
        exclude: folders that are not listed, nor what is below them.
    """

    def __init__(
        self, start: bytes, rules: Rules, disk: Disk, *, recursive: bool, exclude: Collection[bytes] = ()
    ) -> None:
        self._disk = disk
        self._recursive = recursive
        self._exclude = frozenset(exclude)
        self._here = rules.here
        self._ahead = [(start, rules)]
        self._asked: dict[int, bytes] = {}
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
                self._asked[self._disk.ask(list_folder, path, rules)] = path

    def _take_answer(self, path: bytes, answer: FolderListing | FolderProblem | OSError) -> None:
        if isinstance(answer, TimeoutError):
            self._silences[self._mount_of(path)] += 1
        listing = folder_problem(path, answer) if isinstance(answer, OSError) else answer
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
