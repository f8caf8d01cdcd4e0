"""What a scan of a path is about: which libraries, where each walk starts, and what it may say about absence."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from stoat_ferret import paths
from stoat_ferret.errors import LibraryOfflineError, PathNotReadableError
from stoat_ferret.library.models import Library
from stoat_ferret.scan.links import look_through
from stoat_ferret.scan.listing import FolderProblem, Oddity, join
from stoat_ferret.scan.rules import IgnoreRule, Rules
from stoat_ferret.scan.walk import folder_problem, list_folder, rules_inside


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """What was asked for."""

    path: bytes
    recursive: bool = True
    force: bool = False
    accept_loss: bool = False
    dry_run: bool = False
    only: bytes | None = None
    """The name of the one file in the folder that is looked at."""

    def at(self, path: bytes) -> "ScanOptions":
        """Give the same for another path."""
        return replace(self, path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One library's part of a scan."""

    library: Library
    start: bytes
    """The folder asked for; the library's own, or one below it."""
    exclude: frozenset[bytes]
    """Folders of inner libraries, which own what lies below them."""


def covering(path: bytes, libraries: Sequence[Library]) -> Library | None:
    """Give the innermost library that a path lies in."""
    candidates = [library for library in libraries if paths.is_below(path, library.path_bytes)]
    return max(candidates, key=lambda library: len(library.path_bytes), default=None)


def targets(options: ScanOptions, libraries: Sequence[Library]) -> list[Target]:
    """Split a scan among the libraries it touches; the one that covers the path must be there already."""
    owner = covering(options.path, libraries)
    inner = [
        library for library in libraries if library is not owner and paths.is_below(library.path_bytes, options.path)
    ]
    roots = frozenset(library.path_bytes for library in inner)
    found = [Target(library=owner, start=options.path, exclude=roots)] if owner else []
    if options.recursive:
        found += [
            Target(library=library, start=library.path_bytes, exclude=roots - {library.path_bytes}) for library in inner
        ]
    return found


def emptied(library: Library, count: int) -> str:
    """Say that a library holds no file where it held `count`."""
    return (
        f"No video is left in {paths.display(library.path_bytes)}, where {count} were; its disk is probably not "
        "mounted. Nothing was changed. Mount it and scan again; if the files are really gone, scan with accept_loss."
    )


def check_online(found: FolderProblem | bool, library: Library, *, present: int, accept_loss: bool) -> None:
    """Make sure that the library's folder is there and is not an empty mount point.

    Args:
        found: what `holds_nothing` has said of the library's folder.
        library: whose folder it is.
        present: videos of the library that are not missing.
        accept_loss: an emptied folder is meant to be empty.

    Raises:
        LibraryOfflineError: it is not there, or is empty where it held videos.
        PathNotReadableError: it is there and may not be read.
    """
    shown = paths.display(library.path_bytes)
    if isinstance(found, FolderProblem):
        if found.code == "FOLDER_NOT_READABLE":
            msg = f"The folder {shown} cannot be read by this user. Grant read and search permission, then scan again."
            raise PathNotReadableError(msg)
        if found.code == "FOLDER_TIMEOUT":
            msg = f"The disk of {shown} did not answer in time. Nothing was changed. Check that it is connected."
            raise LibraryOfflineError(msg)
        msg = (
            f"The folder {shown} is not there; its disk is probably not mounted. Nothing was changed. "
            "Mount it, or check the path, and scan again."
        )
        raise LibraryOfflineError(msg)
    if found and present and not accept_loss:
        raise LibraryOfflineError(emptied(library, present))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the walk cannot start where it was to start."""

    gone: bool
    """True where it is proven that nothing of the library lies there; False where nothing can be known."""
    path: bytes
    code: str | None = None
    reason: str | None = None
    """What to put on record, if anything; None where the folder simply is not there."""


def descend(start: bytes, root: bytes, rules: Rules) -> Obstacle | Rules:
    """Go down from a library's folder to a folder in it, as a walk of the whole library would.

    Gives the rules by which the folder is listed, or what is in the way.

    A scan of a part must come to the same conclusions as one of the whole, so what is not there, is hidden by a rule
    or lies behind a symbolic link does not belong to the library.
    """
    folder = root
    for name in start[len(root) :].split(b"/"):
        if not name:
            continue
        try:
            rules = rules_inside(folder, rules)
        except OSError as error:
            problem = folder_problem(folder, error)
            return Obstacle(False, problem.path, problem.code, problem.reason)
        obstacle = _obstacle(folder, name, rules)
        if obstacle is not None:
            return obstacle
        folder = join(folder, name)
    return rules


def _obstacle(folder: bytes, name: bytes, rules: Rules) -> Obstacle | None:
    """Say what is in the way from a folder to one in it."""
    path = join(folder, name)
    shown = paths.display(path)
    try:
        mode = os.lstat(rules.here(path)).st_mode
    except (FileNotFoundError, NotADirectoryError):
        listing = list_folder(folder, rules)
        if isinstance(listing, FolderProblem):
            return Obstacle(False, listing.path, listing.code, listing.reason)
        return Obstacle(True, path)
    except OSError as error:
        problem = folder_problem(path, error)
        return Obstacle(False, problem.path, problem.code, problem.reason)
    if stat.S_ISLNK(mode):
        if rules.links is None:
            return Obstacle(
                True, path, "SYMLINK", f"{shown} is a symbolic link; its library does not have links followed."
            )
        found = look_through(rules.here(path), name, rules.links)
        if isinstance(found, Oddity):
            return Obstacle(not found.unproven, path, found.code, f"{shown}: {found.reason}")
        mode = found.st_mode
    if not stat.S_ISDIR(mode):
        return Obstacle(True, path)
    if (rule := rules.decision(name, is_folder=True)) is not None:
        return Obstacle(True, path, "IGNORED", f"An ignore rule leaves out {shown} ({rule}).")
    return None


def why_ignored(path: bytes, root: bytes, rules: Rules) -> IgnoreRule | None:
    """Give the rule that leaves out a folder of a library, or one that it lies in; None where none does.

    Folders on the way may be gone: what their ignore files said is then not known.
    """
    folder, inside = root, rules
    for name in path[len(root) :].split(b"/"):
        if not name:
            continue
        with suppress(OSError):
            inside = rules_inside(folder, inside)
        rule = inside.decision(name, is_folder=True)
        if rule is not None:
            return rule
        folder = join(folder, name)
        inside = inside.inside(folder, None)
    return None
