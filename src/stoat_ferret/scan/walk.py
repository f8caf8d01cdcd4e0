"""One folder in, its complete listing out: a folder is listed as a whole, or it is a problem; never half."""

import errno
import os
import stat
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import islice

from stoat_ferret import paths
from stoat_ferret.library.models import FileKey
from stoat_ferret.scan.links import Links, is_link, look_through, way_problem
from stoat_ferret.scan.listing import FileRow, Files, FolderListing, FolderProblem, Oddity, join
from stoat_ferret.scan.ordinary import ENTRIES_AT_A_TIME, take_ordinary
from stoat_ferret.scan.rules import IGNORE_FILE, IgnoreRule, Rules

MOST_PATH_BYTES = 2_300
"""Of a folder: with a name of 255 bytes after it, still a key that every database's index takes (Postgres: 2,704)."""

MOST_IGNORE_BYTES = 1 << 20
"""Of a `.stoatignore`; a larger one is no list of rules."""


def list_folder(path: bytes, rules: Rules, goes_on: Callable[[], None] = lambda: None) -> FolderListing | FolderProblem:
    """List one folder by the rules of the one that it lies in, or, of a library's folder, by the library's.

    Special files are not touched, and nothing is opened but the folder and its `.stoatignore`.

    Args:
        path: of the folder, as the catalogue calls it.
        rules: of the folder that it lies in.
        goes_on: called now and then while a large folder is read.
    """
    if len(path) > MOST_PATH_BYTES:
        shown = paths.display(path[:80])
        reason = f"The folder's path, {shown}…, is longer than {MOST_PATH_BYTES} bytes; shorten a name in it."
        return FolderProblem(path[:MOST_PATH_BYTES], "PATH_TOO_LONG", reason)
    try:
        # By the open folder, the system looks up a name alone for each file, and not the whole path.
        folder = os.open(rules.here(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if rules.links is None:
                return _list(path, folder, rules_inside(path, rules, folder), goes_on)
            return _list_linked(path, folder, rules, rules.links, goes_on)
        finally:
            os.close(folder)
    except OSError as error:
        if rules.links is not None and is_link(rules.here(path)):
            return broken_link(path, error)
        return folder_problem(path, error)


def _list_linked(
    path: bytes, folder: int, rules: Rules, links: Links, goes_on: Callable[[], None]
) -> FolderListing | FolderProblem:
    """List a folder of a library that has symbolic links followed."""
    place = rules.here(path)
    problem = way_problem(path, place, os.fstat(folder), links)
    if problem is not None:
        return problem
    return replace(_list(path, folder, rules_inside(path, rules, folder), goes_on), linked=is_link(place))


def _list(path: bytes, folder: int, rules: Rules, goes_on: Callable[[], None]) -> FolderListing:
    entries: list[os.DirEntry[str]] = []
    with os.scandir(folder) as listed:
        while some := list(islice(listed, ENTRIES_AT_A_TIME)):
            goes_on()
            entries += some
    files, others = take_ordinary(folder, entries, rules, goes_on)
    found = _Found(path, rules)
    for number, entry in enumerate(others):
        if number % ENTRIES_AT_A_TIME == 0:
            goes_on()
        found.take(entry)
    return found.listing(files)


class _Found:
    """What was found in a folder one by one."""

    def __init__(self, path: bytes, rules: Rules) -> None:
        self._path = path
        self._rules = rules
        self._files: list[FileRow] = []
        self._folders: list[bytes] = []
        self._oddities: list[Oddity] = []
        self._ignored = False

    def take(self, entry: "os.DirEntry[str]") -> None:
        """Take an entry, whatever it is."""
        rules = self._rules
        name = os.fsencode(entry.name)
        is_folder = entry.is_dir(follow_symlinks=False)
        through: os.stat_result | Oddity | None = None
        if rules.links is not None and not is_folder and entry.is_symlink():
            is_video_name = rules.is_video_name(name)
            place = rules.here(join(self._path, name))
            through = look_through(place, name, rules.links, for_folder=not is_video_name)
            is_folder = _may_be_folder(through, is_video_name)
        if not (is_folder or rules.is_video_name(name)):
            return
        rule = rules.decision(name, is_folder=True) if is_folder else rules.decision_on_video(name)
        if rule is not None:
            self._ignored |= _by_choice(rule)
        elif is_folder and not _is_refused(through):
            self._folders.append(name)
        elif isinstance(through, Oddity):
            self._oddities.append(through)
        elif (status := through or _status(entry)) is None:
            return  # removed since the folder was read: it is not there
        elif stat.S_ISREG(status.st_mode):
            self._files.append((name, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev))
        else:
            self._oddities.append(oddity(name, status.st_mode))

    def listing(self, files: Files) -> FolderListing:
        """Give all of it, and the files that were taken together."""
        # Whatever their names, links that lead nowhere may have led to folders.
        folders = [*self._folders, *(each.name for each in self._oddities if each.unproven)]
        oddities = sorted(self._oddities, key=lambda oddity: oddity.name)
        if self._files:
            files = Files([*files.rows(), *self._files])
        return FolderListing(self._path, files, tuple(sorted(folders)), tuple(oddities), self._rules, self._ignored)


def _is_refused(through: os.stat_result | Oddity | None) -> bool:
    return isinstance(through, Oddity) and not through.unproven


def _may_be_folder(through: os.stat_result | Oddity, is_video_name: bool) -> bool:
    """Tell whether a link has to be taken for one to a folder.

    Of one that cannot be followed nobody knows what it leads to. As a folder it is a problem, and proves nothing.
    """
    return not is_video_name if isinstance(through, Oddity) else stat.S_ISDIR(through.st_mode)


def _status(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def holds_nothing(path: bytes, rules: Rules) -> FolderProblem | bool:
    """Tell whether a folder's listing would be empty; reads no more of the folder than that takes.

    Args:
        path: of the folder, as the catalogue calls it.
        rules: of the folder that it lies in.
    """
    try:
        rules = rules_inside(path, rules)
        with os.scandir(rules.here(path)) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=rules.links is not None)
                if is_folder or rules.is_video_name(entry.name):
                    rule = rules.decision(entry.name, is_folder=is_folder)
                    if rule is None or _by_choice(rule):
                        return False
    except OSError as error:
        return folder_problem(path, error)
    return True


def _by_choice(rule: IgnoreRule | None) -> bool:
    """Tell whether a person made the rule: what the default ones leave out may lie in any folder, also an empty one."""
    return rule is not None and rule.source != "default"


def rules_inside(path: bytes, rules: Rules, folder: int | None = None) -> Rules:
    """Give the rules in force inside a folder, with its own ignore file if it has one.

    Args:
        path: of the folder, as the catalogue calls it.
        rules: of the folder that it lies in.
        folder: its file descriptor, where it is open.

    Raises:
        IgnoreFileError: the file cannot be used, so that nobody knows what it leaves out.
        OSError: the folder cannot be reached.
    """
    place = IGNORE_FILE if folder is not None else join(rules.here(path), IGNORE_FILE)
    try:
        status = os.stat(place, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return rules.inside(path, None)
    if not stat.S_ISREG(status.st_mode):
        raise IgnoreFileError("it is no file")
    if status.st_size > MOST_IGNORE_BYTES:
        raise IgnoreFileError(f"it is larger than {MOST_IGNORE_BYTES >> 20} MiB")
    try:
        with open(os.open(place, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb") as file:  # noqa: PTH123 - pathlib opens no descriptor
            return rules.inside(path, file.read(MOST_IGNORE_BYTES))
    except OSError as error:
        raise IgnoreFileError(error.strerror or str(error)) from error


class IgnoreFileError(OSError):
    """A folder's ignore file cannot be used."""


def key_of(status: os.stat_result) -> FileKey:
    """Give what tells whether a file is still the same."""
    return FileKey.of(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino, device=status.st_dev)


def oddity(name: bytes, mode: int) -> Oddity:
    """Say why an entry is not opened."""
    if stat.S_ISLNK(mode):
        return Oddity(name, "SYMLINK", "It is a symbolic link; its library does not have links followed.")
    return Oddity(name, "NOT_A_FILE", "It is a device, pipe or socket, not a file.")


def broken_link(path: bytes, error: OSError) -> FolderProblem:
    """Say what it means that a symbolic link may be one to a folder, and cannot be followed."""
    reason = (
        f"{paths.display(path)} is a symbolic link that cannot be followed ({error.strerror or error}). "
        "If it led to a folder, nothing in that was marked missing."
    )
    return FolderProblem(path, "LINK_BROKEN", reason)


def empty_link(path: bytes) -> FolderProblem:
    """Say what it means that a symbolic link leads to a folder in which there is nothing."""
    reason = (
        f"The folder {paths.display(path)}, a symbolic link, holds nothing; what it leads to is probably not mounted. "
        "Nothing in it was marked missing. If it is meant to be empty, scan with accept_loss."
    )
    return FolderProblem(path, "LINK_EMPTY", reason)


def folder_problem(path: bytes, error: OSError) -> FolderProblem:
    """Say what it means that a folder could not be listed."""
    shown = paths.display(path)
    if isinstance(error, IgnoreFileError):
        reason = f"The folder {shown} has a .stoatignore that cannot be used ({error}), so nothing in it was looked at."
        return FolderProblem(path, "IGNORE_FILE_UNUSABLE", reason)
    if isinstance(error, TimeoutError):
        reason = (
            f"The disk of the folder {shown} did not answer in time, so nothing in it was looked at or marked missing. "
            "Check that it is connected, then scan again."
        )
        return FolderProblem(path, "FOLDER_TIMEOUT", reason)
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = f"The folder {shown} may not be read by this user, so nothing in it was looked at or marked missing."
        return FolderProblem(path, "FOLDER_NOT_READABLE", reason)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FolderProblem(path, "FOLDER_VANISHED", f"The folder {shown} went away while it was being scanned.")
    reason = f"The folder {shown} could not be listed ({error.strerror}), so nothing in it was marked missing."
    return FolderProblem(path, "FOLDER_ERROR", reason)


def count_files(
    start: bytes, rules: Rules, *, recursive: bool, exclude: Collection[bytes], stop: threading.Event
) -> int:
    """Count the files that a scan will meet, by names alone: no file is touched. Stops early when `stop` is set."""
    count, stack = 0, [(start, rules)]
    while stack and not stop.is_set():
        folder, rules = stack.pop()
        try:
            rules = rules_inside(folder, rules)
            with os.scandir(rules.here(folder)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        path = join(folder, entry.name)
                        if recursive and rules.wants_folder(entry.name) and path not in exclude:
                            stack.append((path, rules))
                    elif rules.wants_file(entry.name):
                        count += 1
        except OSError:  # the scan itself will meet it and say so
            continue
    return count
