"""How a scan looks at single files: where they lie on this machine, and whether through symbolic links."""

import errno
import os
from collections.abc import Callable, Iterable

from stoat_ferret import paths
from stoat_ferret.library.models import Library
from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.ground import innermost
from stoat_ferret.statx import birth_ns

MOST_SILENCES = 3
"""So often a disk that says nothing is waited for in one scan; each time takes as long as a listing may."""


def look(path: bytes, follow_symlink: bool) -> os.stat_result:
    """Give what the file system says of a path on this machine.

    Raises:
        OSError: nothing is there, or it cannot be reached.
    """
    return os.stat(path, follow_symlinks=follow_symlink)  # noqa: PTH116 - a path of bytes


class Sight:
    """Looks at files by the paths that the catalogue calls them by.

    Args:
        here: tells where a path of the catalogue lies on this machine.
        libraries: some of which may have links followed; a file is looked at as its innermost library says.
        disk: who looks, so that a disk that hangs can be left behind; without, the caller itself.
    """

    def __init__(
        self, here: Callable[[bytes], bytes], libraries: Iterable[Library] = (), disk: Disk | None = None
    ) -> None:
        self.here = here
        self._disk = disk
        self._silences = 0
        follows = {library.path_bytes: library.follow_symlinks for library in libraries}
        self._follows = follows if any(follows.values()) else {}

    def follows(self, path: bytes) -> bool:
        """Tell whether a link at a path stands for what it leads to."""
        return bool(self._follows) and self._follows.get(innermost(path, self._follows) or b"", False)

    def status(self, path: bytes) -> os.stat_result:
        """Give what the file system says of a file.

        Raises:
            OSError: it is not there, or cannot be reached.
            TimeoutError: the disk did not answer in time, or did not several times before.
        """
        asked = (self.here(path), self.follows(path))
        if self._disk is None:
            return look(*asked)
        if self._silences >= MOST_SILENCES:
            raise TimeoutError(errno.ETIMEDOUT, "it is not asked any more")
        try:
            return self._disk.call(look, *asked)
        except TimeoutError:
            self._silences += 1
            raise

    def is_behind_broken_link(self, path: bytes) -> bool:
        """Tell whether a link on the way to a file, or in its place, leads nowhere: then its absence proves nothing."""
        if not self.follows(path):
            return False
        way = map(self.here, paths.with_ancestors(path))
        return any(os.path.islink(place) and not os.path.exists(place) for place in way)  # noqa: PTH110, PTH114 - bytes

    def birth_ns(self, path: bytes) -> int | None:
        """Give the moment in nanoseconds since 1970 UTC at which a file was made; None where nobody knows."""
        return birth_ns(self.here(path), follow_symlink=self.follows(path))
