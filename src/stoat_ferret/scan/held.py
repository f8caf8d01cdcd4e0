"""Files that are not examined at once: those that may still be being written, and those that replaced another one.

A young file is looked at again once it is old enough. If it has changed, it waits a little more, and is then left to a
scan of its own. A file that took the place of a known one waits for the walk's end: by then the one that was there may
have been found elsewhere, and its entry have gone with it.
"""

import heapq
import itertools
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stoat_ferret.library.models import FileKey
from stoat_ferret.scan.compare import Seen
from stoat_ferret.scan.examine import OpenFolder
from stoat_ferret.scan.listing import FileEntry
from stoat_ferret.scan.sight import Sight
from stoat_ferret.scan.walk import key_of

MOST_LOOKS = 3
"""So often a young file is looked at again before it is left to another scan."""
MOST_REPLACED = 20_000
"""So many replaced files wait at most, so that memory stays flat."""


@dataclass(order=True)
class _Young:
    due_ns: int
    number: int
    folder: OpenFolder = field(compare=False)
    seen: Seen = field(compare=False)
    looks: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class Due:
    """A file whose waiting is over."""

    folder: OpenFolder
    seen: Seen
    settled: bool
    """False where it still changes."""
    vanished: bool = False


class Held:
    """The files that wait. One thread uses it.

    Args:
        settle_seconds: how old a file must be to be taken for written.
        sight: looks at files.
        clock: the time in nanoseconds since 1970 UTC.
    """

    def __init__(self, settle_seconds: float, sight: Sight, clock: Callable[[], int]) -> None:
        self._settle_ns = int(settle_seconds * 1_000_000_000)
        self._sight = sight
        self._clock = clock
        self._young: list[_Young] = []
        self._numbers = itertools.count()
        self._replaced: list[tuple[OpenFolder, Seen]] = []

    def __bool__(self) -> bool:
        return bool(self._young or self._replaced)

    def takes(self, folder: OpenFolder, seen: Seen) -> bool:
        """Take a file on if it has to wait; tells whether it has."""
        if self._is_young(seen.entry.key):
            self._push(folder, seen, 0)
            return True
        if _replaces(seen) and len(self._replaced) < MOST_REPLACED:
            self._replaced.append((folder, seen))
            return True
        return False

    def settled(self) -> Iterator[Due]:
        """Give the young files that are so no longer, and those that will not settle."""
        while self._young and self._young[0].due_ns <= self._clock():
            each = heapq.heappop(self._young)
            key = self._look(each.seen)
            if key is None:
                yield Due(each.folder, each.seen, settled=False, vanished=True)
            elif key == each.seen.entry.key:
                yield Due(each.folder, each.seen, settled=True)
            elif each.looks + 1 < MOST_LOOKS:
                entry = FileEntry(each.seen.entry.name, key)
                each.folder.digest = None  # of a listing in which it was another
                self._push(each.folder, Seen(each.seen.path, entry, each.seen.known), each.looks + 1)
            else:
                yield Due(each.folder, each.seen, settled=False)

    def replaced(self) -> list[tuple[OpenFolder, Seen]]:
        """Give, once the walk has ended, the files that replaced another one."""
        replaced, self._replaced = self._replaced, []
        return replaced

    def seconds_left(self) -> float:
        """Say in how long the next young file is due; 0.0 where none waits."""
        return max(0.0, (self._young[0].due_ns - self._clock()) / 1e9) if self._young else 0.0

    def _is_young(self, key: FileKey) -> bool:
        # A time in the future, of a clock that is wrong, is no reason to wait for it.
        return 0 <= self._clock() - key.mtime_ns < self._settle_ns

    def _push(self, folder: OpenFolder, seen: Seen, looks: int) -> None:
        # One that changed while it waited gets the whole time again: its own may lie in the past or the future.
        due = (seen.entry.key.mtime_ns if not looks else self._clock()) + self._settle_ns
        heapq.heappush(self._young, _Young(due, next(self._numbers), folder, seen, looks))

    def _look(self, seen: Seen) -> FileKey | None:
        try:
            status = self._sight.status(seen.path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return key_of(status)


def _replaces(seen: Seen) -> bool:
    known = seen.known
    return (
        known is not None
        and seen.origin is None
        and known.video_pk is not None
        and known.state != "missing"
        and known.key.inode != seen.entry.key.inode
    )
