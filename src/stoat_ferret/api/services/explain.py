"""Why a path is in the catalogue or is not, and since when: for any path, whether anything is there or not."""

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stoat_ferret import paths
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.library import history
from stoat_ferret.library.history import Event
from stoat_ferret.library.models import QUARANTINED, Library, Outcome, Video
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.scan.links import look_through
from stoat_ferret.scan.listing import Oddity
from stoat_ferret.scan.rules import IgnoreRule, Rules
from stoat_ferret.scan.scope import Obstacle, descend, why_ignored
from stoat_ferret.scan.walk import folder_problem, rules_inside
from stoat_ferret.settings import Settings

Decision = Literal[
    "available", "missing", "broken", "quarantined", "failed", "skipped", "moved", "outside_roots", "no_library",
    "ignored", "no_video_ending", "symlink", "not_a_file", "folder", "unreadable", "not_there", "still_written",
    "not_scanned",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What decided about a path."""

    path: bytes
    decision: Decision
    reason: str
    """A sentence for a person."""
    code: str | None = None
    library: Library | None = None
    rule: IgnoreRule | None = None
    video: Video | None = None
    """The video that is there, was there last, or has moved from there."""
    since: int | None = None
    """Microseconds since 1970 UTC."""
    events: list[Event] = field(default_factory=list)
    """What happened to it, the latest first."""


def explain(path: bytes, settings: Settings, repository: LibraryRepository, rules: Rules) -> Explanation:
    """Explain a path; reads no content.

    Raises:
        InvalidPathError: it is relative, or has a NUL in it.
    """
    if not path.startswith(b"/") or b"\0" in path:
        msg = f"The path {paths.display(path)!r} is not absolute. Give it from the root, as in /home/me/Videos/a.mp4."
        raise InvalidPathError(msg)
    path = paths.absolute(path)
    library = repository.covering_library(path)
    [video, *_] = [*history.videos_at(repository.database, path), None]
    found = _known(path, repository, video) or _on_disk(path, settings, library, rules)
    events = history.events_of(repository.database, path, found.video.id if found.video else None)
    return replace(found, library=library, events=events, reason=found.reason + _unseen(path, found, events))


def _unseen(path: bytes, found: Explanation, events: Sequence[Event]) -> str:
    """Say that the last scan could not see what the catalogue has, or has seen it being written."""
    latest = events[0] if events else None
    if latest is None or latest.what != Outcome.SKIPPED or not latest.reason:
        return ""
    if found.decision == "available":
        return f" The last scan that should have seen it could not: {latest.reason}"
    if found.decision == "not_scanned" and latest.path_bytes == path:
        return f" The last one left it out: {latest.reason}"
    return ""


def _known(path: bytes, repository: LibraryRepository, video: Video | None) -> Explanation | None:
    """Say what the catalogue knows; None where it knows nothing that decides."""
    shown = paths.display(path)
    if video is not None and video.state == "available":
        reason = f"{shown} is in the catalogue."
        return Explanation(path=path, decision="available", reason=reason, video=video, since=video.added_at)
    if video is not None and video.state == "broken":
        reason = f"{shown} is in the catalogue, but can no longer be examined: {video.probe_error}"
        return Explanation(path=path, decision="broken", reason=reason, video=video, since=video.updated_at)
    reject = history.reject_at(repository.database, path)
    if reject is not None:
        return _rejected(path, reject)
    if video is not None:
        reason = f"{shown} was in the catalogue and is no longer there."
        return Explanation(path=path, decision="missing", reason=reason, video=video, since=video.missing_since)
    moved = history.moved_from(repository.database, path)
    if moved is not None and not os.path.lexists(path):
        reason = f"The file that was here is now {paths.display(moved.path_bytes)}."
        return Explanation(path=path, decision="moved", reason=reason, video=moved, since=moved.updated_at)
    return None


def _rejected(path: bytes, reject: history.Reject) -> Explanation:
    known = reject.known
    reason = known.reason or ""
    decision: Decision = "failed" if known.reject_outcome is Outcome.FAILED else "skipped"
    if known.code in QUARANTINED:
        decision = "quarantined"
        reason += " It is not examined again until it changes or somebody asks (stoat quarantine retry)."
    return Explanation(path=path, decision=decision, reason=reason, code=known.code, since=reject.at)


def _on_disk(path: bytes, settings: Settings, library: Library | None, rules: Rules) -> Explanation:
    """Say what is at a path of which the catalogue knows nothing, and why that is so."""
    shown = paths.display(path)
    roots = [os.fsencode(root) for root in settings.media_roots]
    if roots and not any(paths.is_below(os.path.realpath(path), root) for root in roots):
        reason = f"{shown} lies outside the folders of STOAT_MEDIA_ROOTS."
        return Explanation(path=path, decision="outside_roots", reason=reason)
    if library is None:
        reason = f"No library covers {shown}. Scan its folder, which makes one."
        return Explanation(path=path, decision="no_library", reason=reason)
    rules = rules.of_library(library.path_bytes, library.ignore, follow_symlinks=library.follow_symlinks)
    folder, _, name = path.rpartition(b"/")
    if path == library.path_bytes:
        reason = f"{shown} is the folder of the library {library.name}."
        return Explanation(path=path, decision="folder", reason=reason)
    found = descend(folder or b"/", library.path_bytes, rules)
    if isinstance(found, Obstacle):
        return _obstacle(path, found, rules, library)
    try:
        return _entry(path, name, rules_inside(folder or b"/", found), library)
    except OSError as error:
        return Explanation(path=path, decision="unreadable", reason=folder_problem(folder, error).reason)


def _obstacle(path: bytes, obstacle: Obstacle, rules: Rules, library: Library) -> Explanation:
    shown = paths.display(path)
    if obstacle.code == "IGNORED":
        rule = why_ignored(obstacle.path, library.path_bytes, rules)
        return Explanation(path=path, decision="ignored", reason=obstacle.reason or "", rule=rule)
    if obstacle.code in ("SYMLINK", "LINK_OUTSIDE", "LINK_BROKEN"):
        return Explanation(path=path, decision="symlink", reason=obstacle.reason or "", code=obstacle.code)
    if obstacle.gone:
        reason = f"{shown} does not exist: {paths.display(obstacle.path)} is no folder."
        return Explanation(path=path, decision="not_there", reason=reason)
    reason = obstacle.reason or f"{shown} cannot be reached."
    return Explanation(path=path, decision="unreadable", reason=reason, code=obstacle.code)


def _entry(path: bytes, name: bytes, rules: Rules, library: Library) -> Explanation:
    """Say what a name in a folder that is scanned is; raises OSError where the folder cannot be reached."""
    shown = paths.display(path)
    try:
        status = os.lstat(rules.here(path))
    except FileNotFoundError:
        return Explanation(path=path, decision="not_there", reason=f"{shown} does not exist.")
    if rules.links is not None and stat.S_ISLNK(status.st_mode):
        through = look_through(rules.here(path), name, rules.links)
        if isinstance(through, Oddity):
            return Explanation(path=path, decision="symlink", reason=f"{shown}: {through.reason}", code=through.code)
        status = through
    is_folder = stat.S_ISDIR(status.st_mode)
    rule = rules.decision(name, is_folder=is_folder)
    if rule is not None:
        reason = f"An ignore rule leaves it out ({rule})."
        return Explanation(path=path, decision="ignored", reason=reason, rule=rule)
    decision, reason = _unscanned(path, name, status, rules, library)
    return Explanation(path=path, decision=decision, reason=f"{shown} {reason}")


def _unscanned(
    path: bytes, name: bytes, status: os.stat_result, rules: Rules, library: Library
) -> tuple[Decision, str]:
    if stat.S_ISDIR(status.st_mode):
        return "folder", f"is a folder of the library {library.name}."
    if not rules.is_video_name(name):
        return (
            "no_video_ending",
            "does not end as a video's name does; STOAT_VIDEO_EXTENSIONS says which do.",
        )
    if stat.S_ISLNK(status.st_mode):
        return "symlink", "is a symbolic link; its library does not have links followed."
    if not stat.S_ISREG(status.st_mode):
        return "not_a_file", "is a device, pipe or socket, not a file."
    if not os.access(rules.here(path), os.R_OK):
        return "unreadable", "may not be read by the user that runs stoat."
    if time.time_ns() - status.st_mtime_ns < library.settle_seconds * 1e9:
        return "still_written", "was written to a moment ago; scans wait until it is whole."
    return "not_scanned", "is not in the catalogue yet. The next scan finds it."
