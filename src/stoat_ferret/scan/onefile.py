"""A single file in the place of a walk: nothing else of its folder is listed, and nothing is said about it."""

import os
import stat

from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import FileEntry, FolderListing, FolderProblem, folder_problem, join, key_of, oddity


class OneFile:
    """Lists one name of a folder; used as a `Walker` is.

    Args:
        folder: which is known to be there.
        name: of the file, which may not be.
        rules: what counts as a video.
    """

    def __init__(self, folder: bytes, name: bytes, rules: Rules) -> None:
        self._folder = folder
        self._name = name
        self._rules = rules
        self.ended = False
        """True once the listing was taken."""

    def __enter__(self) -> "OneFile":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def take(self, timeout: float) -> FolderListing | FolderProblem | None:
        """Give the listing; None once it was given."""
        if self.ended:
            return None
        self.ended = True
        folder, name = self._folder, self._name
        try:
            status = os.lstat(self._rules.here(join(folder, name)))
        except FileNotFoundError:
            return FolderListing(folder, (), (), (), self._rules)
        except OSError as error:
            return folder_problem(folder, error)
        if not self._rules.wants_file(name) or stat.S_ISDIR(status.st_mode):
            return FolderListing(folder, (), (), (), self._rules)
        if stat.S_ISREG(status.st_mode):
            return FolderListing(folder, (FileEntry(name, key_of(status)),), (), (), self._rules)
        return FolderListing(folder, (), (), (oddity(name, status.st_mode),), self._rules)
