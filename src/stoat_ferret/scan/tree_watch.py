"""What changes in a tree, as the system tells it (inotify): which folders are to be looked at again.

Only that. What has become of the files in them is for a scan to find out, so that it does not matter whether an event
was merged with another or came twice; and where some were lost, everything is looked at again.
"""

import errno
import os
import time
from collections.abc import Collection

from inotify_simple import INotify, flags

from stoat_ferret import paths
from stoat_ferret.scan.listing import join
from stoat_ferret.scan.rules import IGNORE_FILE, Rules
from stoat_ferret.scan.walk import IgnoreFileError, rules_inside

QUIET_SECONDS = 1.0
"""After so long without a further change, those that were noticed are due."""
LONGEST_WAIT_SECONDS = 10.0
"""So long the first of them waits at most."""
MOST_FOLDERS = 200
"""Of more touched folders at once, the whole tree is looked at: that costs little, and memory stays flat."""

NOTICED = (
    flags.CREATE | flags.CLOSE_WRITE | flags.ATTRIB | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.EXCL_UNLINK
)  # fmt: skip
_GONE = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT


class CannotWatchError(Exception):
    """The system does not tell of changes here; the message says why. Never leaves the watcher."""

    def __init__(self, reason: str, *, for_long: bool = False) -> None:
        super().__init__(reason)
        self.for_long = for_long
        """True where it is no use, and costs much, to try again soon."""


class TreeWatch:
    """The folders of one tree that the system tells about. One thread uses it, in a `with` statement.

    Args:
        root: the tree's folder, as the catalogue calls it.
        rules: of the tree; what they leave out is not watched.
        exclude: folders in it that belong to other libraries.
    """

    def __init__(self, root: bytes, rules: Rules, exclude: Collection[bytes] = ()) -> None:
        self._root = root
        self._rules = rules
        self._exclude = frozenset(exclude)
        self._folders: dict[int, tuple[bytes, Rules]] = {}
        self._touched: dict[bytes, bool] = {}
        self._whole = False
        self._first = self._last = 0.0
        self.lost = False
        """True once it does not notice everything any more: it has to be opened anew, and all to be looked at."""
        try:
            self._inotify = INotify()
        except OSError as error:
            raise CannotWatchError(_why(error)) from error

    def __enter__(self) -> "TreeWatch":
        try:
            self._add(self._root, self._rules)
        except BaseException:
            self._inotify.close()
            raise
        if not self._folders:
            self._inotify.close()
            msg = f"The folder {paths.display(self._root)} is not there, or may not be read."
            raise CannotWatchError(msg)
        return self

    def __exit__(self, *_error: object) -> None:
        self._inotify.close()

    @property
    def watched(self) -> int:
        """How many folders are watched."""
        return len(self._folders)

    def read(self, timeout: float) -> None:
        """Take in what has happened, after waiting `timeout` seconds for something at most.

        Raises:
            CannotWatchError: there are more folders than the system lets anyone watch.
        """
        for event in self._inotify.read(timeout=int(timeout * 1000)):
            if event.mask & flags.Q_OVERFLOW:
                self.lost = True
            elif event.mask & flags.IGNORED:
                self._folders.pop(event.wd, None)
            elif event.wd in self._folders:
                self._take(event.wd, event.mask, os.fsencode(event.name))

    @property
    def due(self) -> bool:
        """Tell whether what was noticed has waited long enough."""
        now = time.monotonic()
        noticed = self._whole or bool(self._touched)
        return noticed and (now - self._last >= QUIET_SECONDS or now - self._first >= LONGEST_WAIT_SECONDS)

    def take_touched(self) -> list[tuple[bytes, bool]]:
        """Give the folders that are to be looked at, each with whether all below it is; those that are there first.

        So what has moved is found where it is now, before it is missed where it was.
        """
        touched, self._touched = self._touched, {}
        if self._whole or touched.get(self._root):
            self._whole = False
            return [(self._root, True)]
        whole = {folder for folder, recursive in touched.items() if recursive}
        needed = [
            (folder, recursive)
            for folder, recursive in touched.items()
            if whole.isdisjoint(paths.with_ancestors(folder)[:-1])
        ]
        return sorted(needed, key=lambda each: (not os.path.lexists(self._rules.here(each[0])), each[0]))

    def _take(self, watch: int, mask: int, name: bytes) -> None:
        folder, rules = self._folders[watch]
        if mask & _GONE:
            # Of a folder below, the one that it lies in tells.
            self.lost |= folder == self._root
            return
        path = join(folder, name)
        if mask & flags.ISDIR:
            self._take_folder(path, name, mask, rules)
        elif name == IGNORE_FILE:
            self.lost = True  # other folders are to be watched
            self._touch(folder, recursive=True)
        elif rules.is_video_name(name):
            self._touch(folder, recursive=False)

    def _take_folder(self, path: bytes, name: bytes, mask: int, rules: Rules) -> None:
        if not name or path in self._exclude or not rules.wants_folder(name):
            return
        if mask & (flags.DELETE | flags.MOVED_FROM):
            self._drop(path)
        elif mask & (flags.CREATE | flags.MOVED_TO | flags.ATTRIB):
            self._add(path, rules)
        self._touch(path, recursive=True)

    def _touch(self, folder: bytes, *, recursive: bool) -> None:
        now = time.monotonic()
        if not self._touched and not self._whole:
            self._first = now
        self._last = now
        if self._whole:
            return
        self._touched[folder] = self._touched.get(folder, False) or recursive
        if len(self._touched) > MOST_FOLDERS:
            self._touched, self._whole = {}, True

    def _add(self, start: bytes, rules: Rules) -> None:
        """Watch a folder and all below it. Each is watched before it is read: nothing comes in between."""
        stack = [(start, rules)]
        while stack:
            path, rules = stack.pop()
            try:
                watch = self._inotify.add_watch(rules.here(path), NOTICED)
                inside = rules_inside(path, rules)
                with os.scandir(rules.here(path)) as entries:
                    below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise CannotWatchError(_why(error), for_long=True) from error
                if isinstance(error, IgnoreFileError):
                    self._folders[watch] = (path, rules)  # so that it is noticed once that can be used again
                continue  # it is gone, or may not be read: the scan will say so
            self._folders[watch] = (path, inside)
            found = [join(path, name) for name in below if inside.wants_folder(name)]
            stack += [(folder, inside) for folder in found if folder not in self._exclude]

    def _drop(self, start: bytes) -> None:
        for watch in [watch for watch, (path, _) in self._folders.items() if paths.is_below(path, start)]:
            del self._folders[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError:
                continue  # it went with its folder


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EMFILE):
        return (
            "The system lets this user watch no more folders; raise fs.inotify.max_user_watches, or "
            "fs.inotify.max_user_instances, with sysctl."
        )
    return f"The system cannot tell of changes here ({error.strerror or error})."
