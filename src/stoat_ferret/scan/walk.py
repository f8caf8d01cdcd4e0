"""Folders in, complete listings out: a folder is listed as a whole, or it is a problem; never half."""

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from types import TracebackType

from stoat_ferret import paths
from stoat_ferret.library.models import FileKey
from stoat_ferret.scan.rules import IGNORE_FILE, IgnoreRule, Rules

ENTRIES_AHEAD = 20_000
"""The walker pauses while so many listed files wait to be compared; it bounds memory, not the size of a folder."""

MOST_PATH_BYTES = 2_300
"""Of a folder: with a name of 255 bytes after it, still a key that every database's index takes (Postgres: 2,704)."""

MOST_IGNORE_BYTES = 1 << 20
"""Of a `.stoatignore`; a larger one is no list of rules."""

LEAVE_SECONDS = 2.0
"""How long the end of a scan waits for a listing: on a disk that hangs, it never comes."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file with a video's ending, as `lstat` saw it."""

    name: bytes
    key: FileKey


@dataclass(frozen=True, slots=True)
class Oddity:
    """An entry with a video's ending that is never opened."""

    name: bytes
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderListing:
    """All that lies directly in a folder and concerns a scan, sorted by name."""

    path: bytes
    files: tuple[FileEntry, ...]
    folders: tuple[bytes, ...]
    oddities: tuple[Oddity, ...]
    rules: Rules | None = None
    """Those in force in it; None where nobody is to ask."""
    ignored: bool = False
    """True where a rule that a person made leaves out something in it that might be, or hold, a video."""

    @property
    def empty(self) -> bool:
        """True where nothing here could be, or hold, a video."""
        return not (self.files or self.folders or self.oddities or self.ignored)


@dataclass(frozen=True, slots=True)
class FolderProblem:
    """A folder that could not be listed as a whole; it proves nothing about what is in it."""

    path: bytes
    code: str
    reason: str


def join(folder: bytes, name: bytes) -> bytes:
    """Give the path of an entry; `os.path.join` would take a name with a leading slash for a new root."""
    return (folder if folder.endswith(b"/") else folder + b"/") + name


def list_folder(path: bytes, rules: Rules) -> FolderListing | FolderProblem:
    """List one folder by the rules of the one that it lies in, or, of a library's folder, by the library's.

    Special files are not touched, and nothing is opened but the folder and its `.stoatignore`.
    """
    if len(path) > MOST_PATH_BYTES:
        shown = paths.display(path[:80])
        reason = f"The folder's path, {shown}…, is longer than {MOST_PATH_BYTES} bytes; shorten a name in it."
        return FolderProblem(path[:MOST_PATH_BYTES], "PATH_TOO_LONG", reason)
    files: list[FileEntry] = []
    folders: list[bytes] = []
    oddities: list[Oddity] = []
    ignored = False
    try:
        rules = rules_inside(path, rules)
        with os.scandir(rules.here(path)) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    rule = rules.decision(name, is_folder=True)
                    ignored |= _by_choice(rule)
                    if rule is None:
                        folders.append(name)
                elif not rules.is_video_name(name):
                    continue
                elif (rule := rules.decision(name, is_folder=False)) is not None:
                    ignored |= _by_choice(rule)
                else:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # removed since the folder was read: it is not there
                    if stat.S_ISREG(status.st_mode):
                        files.append(FileEntry(name, key_of(status)))
                    else:
                        oddities.append(oddity(name, status.st_mode))
    except OSError as error:
        return folder_problem(path, error)
    files.sort(key=lambda entry: entry.name)
    oddities.sort(key=lambda oddity: oddity.name)
    return FolderListing(path, tuple(files), tuple(sorted(folders)), tuple(oddities), rules, ignored)


def _by_choice(rule: IgnoreRule | None) -> bool:
    """Tell whether a person made the rule: what the default ones leave out may lie in any folder, also an empty one."""
    return rule is not None and rule.source != "default"


def rules_inside(folder: bytes, rules: Rules) -> Rules:
    """Give the rules in force inside a folder, with its own ignore file if it has one.

    Raises:
        IgnoreFileError: the file cannot be used, so that nobody knows what it leaves out.
        OSError: the folder cannot be reached.
    """
    place = join(rules.here(folder), IGNORE_FILE)
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return rules.inside(folder, None)
    if not stat.S_ISREG(status.st_mode):
        raise IgnoreFileError("it is no file")
    if status.st_size > MOST_IGNORE_BYTES:
        raise IgnoreFileError(f"it is larger than {MOST_IGNORE_BYTES >> 20} MiB")
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - a path of bytes
            return rules.inside(folder, file.read(MOST_IGNORE_BYTES))
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
        return Oddity(name, "SYMLINK", "It is a symbolic link, and links are not followed.")
    return Oddity(name, "NOT_A_FILE", "It is a device, pipe or socket, not a file.")


def folder_problem(path: bytes, error: OSError) -> FolderProblem:
    """Say what it means that a folder could not be listed."""
    shown = paths.display(path)
    if isinstance(error, IgnoreFileError):
        reason = f"The folder {shown} has a .stoatignore that cannot be used ({error}), so nothing in it was looked at."
        return FolderProblem(path, "IGNORE_FILE_UNUSABLE", reason)
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = f"The folder {shown} may not be read by this user, so nothing in it was looked at or marked missing."
        return FolderProblem(path, "FOLDER_NOT_READABLE", reason)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FolderProblem(path, "FOLDER_VANISHED", f"The folder {shown} went away while it was being scanned.")
    reason = f"The folder {shown} could not be listed ({error.strerror}), so nothing in it was marked missing."
    return FolderProblem(path, "FOLDER_ERROR", reason)


class Walker:
    """Lists a folder, and with `recursive` all below it, in a thread of its own, a bounded way ahead of its user."""

    def __init__(self, start: bytes, rules: Rules, *, recursive: bool, exclude: Collection[bytes] = ()) -> None:
        self._rules = rules
        self._recursive = recursive
        self._exclude = frozenset(exclude)
        self._listed: deque[FolderListing | FolderProblem] = deque()
        self._waiting_entries = 0
        self._ended = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(start,), name="walk", daemon=True)

    def __enter__(self) -> "Walker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(LEAVE_SECONDS)

    @property
    def ended(self) -> bool:
        """True once everything was listed and taken; raises what ended the walk before it was complete."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._ended and not self._listed

    def take(self, timeout: float) -> FolderListing | FolderProblem | None:
        """Give the next listing; None when there is none within `timeout` seconds, or no more at all."""
        with self._changed:
            if not self._listed and not self._ended and timeout > 0:
                self._changed.wait(timeout)
            if self._failure is not None:
                raise self._failure
            if not self._listed:
                return None
            listing = self._listed.popleft()
            self._waiting_entries -= _weight(listing)
            self._changed.notify_all()
            return listing

    def _run(self, start: bytes) -> None:
        try:
            stack = [(start, self._rules)]
            while stack and not self._stopped:
                listing = list_folder(*stack.pop())
                if self._recursive and isinstance(listing, FolderListing) and listing.rules is not None:
                    below = (join(listing.path, name) for name in reversed(listing.folders))
                    stack += [(path, listing.rules) for path in below if path not in self._exclude]
                self._hand_over(listing)
        except BaseException as error:  # noqa: BLE001  # handed to the scan's own thread, which raises it
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _hand_over(self, listing: FolderListing | FolderProblem) -> None:
        with self._changed:
            while self._waiting_entries >= ENTRIES_AHEAD and not self._stopped:
                self._changed.wait()
            self._listed.append(listing)
            self._waiting_entries += _weight(listing)
            self._changed.notify_all()


def _weight(listing: FolderListing | FolderProblem) -> int:
    return 1 if isinstance(listing, FolderProblem) else 1 + len(listing.files)


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
