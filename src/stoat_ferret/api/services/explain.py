"""Why a path is in the catalogue or is not, and since when: for any path, whether anything is there or not."""

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from anyio import to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.happened import happened
from stoat_ferret.api.services.scan import in_time
from stoat_ferret.errors import InvalidPathError, PathTimeoutError
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library import history
from stoat_ferret.library.fixity import checksum_of
from stoat_ferret.library.history import Event, Reject, Trouble
from stoat_ferret.library.models import QUARANTINED, Library, Outcome, Video
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.scan.links import look_through
from stoat_ferret.scan.listing import Oddity
from stoat_ferret.scan.rules import IgnoreRule, Rules
from stoat_ferret.scan.scope import Obstacle, descend, why_ignored
from stoat_ferret.scan.walk import folder_problem, rules_inside
from stoat_ferret.settings import Settings

Decision = Literal[
    "available", "missing", "broken", "damaged", "quarantined", "failed", "skipped", "moved", "offline",
    "outside_roots", "no_library", "ignored", "no_video_ending", "symlink", "not_a_file", "folder", "unreadable",
    "not_there", "still_written", "not_scanned",
]  # fmt: skip
AS_KNOWN: tuple[Decision, ...] = ("not_scanned", "still_written")
"""What is said of a path where nothing but the catalogue's ignorance speaks against it: of a known one, nothing."""
UNTRIED = " It is not examined again until it changes or somebody asks (stoat quarantine retry)."


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
    events: Sequence[Event] = ()
    """What happened to it, the latest first."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the catalogue knows of a path."""

    library: Library | None
    video: Video | None
    trouble: Trouble | None
    """Why the video is broken."""
    damaged_at: int | None
    reject: Reject | None
    moved: Video | None


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is on disk at a path; None for what cannot be known now."""

    found: Explanation
    """What would be said if the catalogue knew nothing of it."""
    there: bool | None
    library_there: bool | None


async def explain(
    path: bytes, settings: Settings, repository: LibraryRepository, queue: AsyncJobQueue, rules: Rules
) -> Explanation:
    """Explain a path; reads no content.

    Raises:
        InvalidPathError: it is relative, or has a NUL in it.
        PathTimeoutError: the disk does not answer, and the catalogue knows nothing of the path.
    """
    if not path.startswith(b"/") or b"\0" in path:
        msg = f"The path {paths.display(path)!r} is not absolute. Give it from the root, as in /home/me/Videos/a.mp4."
        raise InvalidPathError(msg)
    path = paths.absolute(path)
    known = await to_thread.run_sync(_recall, path, repository)
    try:
        seen = await in_time(path, settings, partial(_look, path, settings, known.library, rules))
    except PathTimeoutError as error:
        if known.video is None and known.reject is None:
            raise
        silent = Explanation(path=path, decision="unreadable", reason=error.message, code=error.code)
        seen = _Sight(silent, None, None)
    found = _decide(path, known, seen)
    events = await happened(path, found.video.id if found.video else None, repository.database, queue)
    return replace(found, library=known.library, events=events, reason=found.reason + _unseen(path, found, events))


def _recall(path: bytes, repository: LibraryRepository) -> _Memory:
    database = repository.database
    [video, *_] = [*history.videos_at(database, path), None]
    checksum = None if video is None else checksum_of(database, video.id)
    return _Memory(
        library=repository.covering_library(path),
        video=video,
        trouble=None if video is None else history.trouble_of(database, video.id),
        damaged_at=None if checksum is None else checksum.damaged_at,
        reject=history.reject_at(database, path),
        moved=history.moved_from(database, path),
    )


def _look(path: bytes, settings: Settings, library: Library | None, rules: Rules) -> _Sight:
    found = _on_disk(path, settings, library, rules)
    library_there = None if library is None else _is_there(rules.here(library.path_bytes))
    return _Sight(found, _is_there(rules.here(path)), library_there)


def _is_there(path: bytes) -> bool | None:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True


def _decide(path: bytes, known: _Memory, seen: _Sight) -> Explanation:
    video = known.video
    if video is not None and video.state != "missing":
        return _absent(path, video, known, seen) if seen.there is False else _present(path, video, known, seen)
    if known.reject is not None and not (seen.found.decision == "ignored" or seen.there is False):
        return _rejected(path, known.reject)
    if video is not None:
        return _missing(path, video, seen)
    if known.moved is not None and seen.there is False:
        reason = f"The file that was here is now {paths.display(known.moved.path_bytes)}."
        return Explanation(path=path, decision="moved", reason=reason, video=known.moved, since=known.moved.updated_at)
    return seen.found


def _present(path: bytes, video: Video, known: _Memory, seen: _Sight) -> Explanation:
    """Say how a video stands whose file is there, or cannot be looked for now."""
    shown, found, trouble = paths.display(path), seen.found, known.trouble
    if found.decision == "ignored":
        reason = f"{found.reason} It is still in the catalogue; the next scan counts it as missing."
        return replace(found, reason=reason, video=video)
    now = "" if found.decision in AS_KNOWN else f" As things are now, a scan would not take it in: {found.reason}"
    if video.state == "broken":
        aside = trouble is not None and trouble.code in QUARANTINED
        reason = f"{shown} is in the catalogue, but can no longer be examined: {video.probe_error}"
        return Explanation(
            path=path,
            decision="quarantined" if aside else "broken",
            reason=reason + (UNTRIED if aside else "") + now,
            code=None if trouble is None else trouble.code,
            video=video,
            since=video.updated_at if trouble is None else trouble.at,
        )
    if known.damaged_at is not None:
        reason = (
            f"{shown} is in the catalogue and damaged: its content is not what it was, though its size and time are "
            f"the same. Bring it back from a backup, or take it as it is: stoat verify --accept {video.id}"
        )
        return Explanation(path=path, decision="damaged", reason=reason + now, video=video, since=known.damaged_at)
    reason = f"{shown} is in the catalogue.{now}"
    return Explanation(path=path, decision="available", reason=reason, video=video, since=video.added_at)


def _absent(path: bytes, video: Video, known: _Memory, seen: _Sight) -> Explanation:
    """Say why a video that the catalogue has is not there, and what to do."""
    shown, library = paths.display(path), known.library
    folder = paths.display(path.rpartition(b"/")[0] or b"/")
    decision: Decision = "not_there"
    if library is not None and (seen.library_there is False or library.state == "offline"):
        decision = "offline"
        why = (
            f"its library {library.name} is offline: {paths.display(library.path_bytes)} is not there or holds no "
            "video, as where a disk is not mounted. Nothing was removed. Mount it and scan again"
        )
    elif library is not None and library.lost_from is not None:
        why = (
            "it is not there now. So much was gone at once that the last scan stopped, and nothing was removed. Mount "
            "what is missing and scan again; if the files are really gone, scan with --accept-loss"
        )
    else:
        why = f"it is not there now. Nothing was removed; the next scan settles it (stoat scan {folder})"
    return Explanation(path=path, decision=decision, reason=f"{shown} is in the catalogue, but {why}.", video=video)


def _missing(path: bytes, video: Video, seen: _Sight) -> Explanation:
    """Say why a video counts as missing, and what is at its place now."""
    found, since = seen.found, video.missing_since
    if found.decision == "ignored" and seen.there:
        return replace(found, reason=f"{found.reason} It was in the catalogue before.", video=video, since=since)
    reason = f"{paths.display(path)} was in the catalogue and is no longer there."
    if seen.there:
        reason = f"{paths.display(path)} was in the catalogue and was gone. Now something is there: {found.reason}"
    return Explanation(path=path, decision="missing", reason=reason, video=video, since=since)


def _unseen(path: bytes, found: Explanation, events: Sequence[Event]) -> str:
    """Say that the last scan could not see what the catalogue has, or has seen it being written."""
    latest = events[0] if events else None
    if latest is None or latest.what != Outcome.SKIPPED or not latest.reason:
        return ""
    if found.decision in ("available", "damaged") or (found.decision == "not_there" and found.video is not None):
        return f" The last scan that should have seen it could not: {latest.reason}"
    if found.decision == "not_scanned" and latest.path_bytes == path:
        return f" The last one left it out: {latest.reason}"
    return ""


def _rejected(path: bytes, reject: Reject) -> Explanation:
    known = reject.known
    reason = known.reason or ""
    decision: Decision = "failed" if known.reject_outcome is Outcome.FAILED else "skipped"
    if known.code in QUARANTINED:
        decision = "quarantined"
        reason += UNTRIED
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
