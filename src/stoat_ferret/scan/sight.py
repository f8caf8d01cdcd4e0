"""How a scan looks at single files: where they lie on this machine, and whether through symbolic links."""

import os
from collections.abc import Callable, Iterable

from stoat_ferret.library.models import Library
from stoat_ferret.scan.ground import innermost
from stoat_ferret.statx import birth_ns


class Sight:
    """Looks at files by the paths that the catalogue calls them by.

    Args:
        here: tells where a path of the catalogue lies on this machine.
        libraries: some of which may have links followed; a file is looked at as its innermost library says.
    """

    def __init__(self, here: Callable[[bytes], bytes], libraries: Iterable[Library] = ()) -> None:
        self.here = here
        follows = {library.path_bytes: library.follow_symlinks for library in libraries}
        self._follows = follows if any(follows.values()) else {}

    def follows(self, path: bytes) -> bool:
        """Tell whether a link at a path stands for what it leads to."""
        return bool(self._follows) and self._follows.get(innermost(path, self._follows) or b"", False)

    def status(self, path: bytes) -> os.stat_result:
        """Give what the file system says of a file.

        Raises:
            OSError: it is not there, or cannot be reached.
        """
        return os.stat(self.here(path), follow_symlinks=self.follows(path))  # noqa: PTH116 - a path of bytes

    def birth_ns(self, path: bytes) -> int | None:
        """Give the moment in nanoseconds since 1970 UTC at which a file was made; None where nobody knows."""
        return birth_ns(self.here(path), follow_symlink=self.follows(path))
