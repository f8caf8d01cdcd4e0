"""A single file in the place of a walk: nothing else of its folder is listed, and nothing is said about it."""

import os
import stat

from stoat_ferret.scan.disk import Disk
from stoat_ferret.scan.links import look_through
from stoat_ferret.scan.listing import FileEntry, Files, FolderListing, FolderProblem, Oddity, join
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.walk import folder_problem, key_of, oddity


class OneFile:
    """Lists one name of a folder; used as a `Walker` is.

    Args:
        folder: which is known to be there.
        name: of the file, which may not be.
        rules: what counts as a video.
        disk: looks at the file.
    """

    def __init__(self, folder: bytes, name: bytes, rules: Rules, disk: Disk) -> None:
        self._folder = folder
        self._name = name
        self._rules = rules
        self._disk = disk
        self.ended = False
        """True once the listing was taken."""

    def take(self, timeout: float) -> FolderListing | FolderProblem | None:  # as a `Walker` has it
        """Give the listing; None once it was given."""
        if self.ended:
            return None
        self.ended = True
        try:
            return self._disk.call(list_one, self._folder, self._name, self._rules)
        except OSError as error:
            return folder_problem(self._folder, error)


def list_one(folder: bytes, name: bytes, rules: Rules) -> FolderListing:
    """List one name of a folder by the rules in force in it.

    Raises:
        OSError: it cannot be looked at.
    """
    place = rules.here(join(folder, name))
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return FolderListing(folder, rules=rules)
    if not rules.wants_file(name):
        return FolderListing(folder, rules=rules)
    if rules.links is not None and stat.S_ISLNK(status.st_mode):
        through = look_through(place, name, rules.links)
        if isinstance(through, Oddity):
            return FolderListing(folder, oddities=(through,), rules=rules)
        status = through
    if stat.S_ISDIR(status.st_mode):
        return FolderListing(folder, rules=rules)
    if stat.S_ISREG(status.st_mode):
        return FolderListing(folder, Files.of([FileEntry(name, key_of(status))]), rules=rules)
    return FolderListing(folder, oddities=(oddity(name, status.st_mode),), rules=rules)
