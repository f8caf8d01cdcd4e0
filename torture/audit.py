"""What must be true of the databases after anything: read past the program, from the tables themselves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from stoat_ferret.db.engine import Database
from stoat_ferret.db.tables import changes, gone, ledger, videos
from stoat_ferret.library.changes import read, replay
from stoat_ferret.library.models import Change
from torture.engines import Engine

PAGE = 10_000
MOST_TOLD = 10

Catalogue = Mapping[str, Mapping[str, Any]]
"""Path → what is known of it, as `Calls.catalogue` gives it."""


def audit(engine: Engine, data: Path, complete: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Give every violation in the databases of a data directory, as sentences.

    Args:
        engine: how its databases are opened.
        data: the data directory.
        complete: job id → result of each job that is complete.
    """
    found = engine.damage(data)
    library = engine.open_library(data)
    try:
        feed = _feed(library)
        found += feed_violations(feed)
        found += _feed_against_list(library, feed)
        found += _unsettled(library, complete)
        found += _ledgers_against_results(library, complete)
        found += _twice_new(library)
    finally:
        library.close()
    return found


def feed_violations(feed: Iterable[Change]) -> list[str]:
    """Give what in a change feed cannot have happened: each video is added once, then goes from state to state."""
    found: list[str] = []
    states: dict[str, tuple[bytes, str]] = {}
    owner: dict[bytes, str] = {}
    ever: set[str] = set()
    seq = 0
    for change in feed:
        if change.seq <= seq:
            found.append(f"{_named(change)} follows {seq}")
        seq = change.seq
        before = states.get(change.video_id)
        found += [f"{_named(change)}: {wrong}" for wrong in _impossible(change, before, change.video_id in ever)]
        if change.kind == "added" and owner.get(change.path_bytes, change.video_id) != change.video_id:
            found.append(f"{_named(change)}: the path belongs to {owner[change.path_bytes]}")
        ever.add(change.video_id)
        if before is not None and owner.get(before[0]) == change.video_id:
            del owner[before[0]]
        if change.kind == "removed":
            states.pop(change.video_id, None)
            continue
        states[change.video_id] = (change.path_bytes, change.state)
        if change.state != "missing":  # a missing one holds no path: another file may be there by now
            owner[change.path_bytes] = change.video_id
    return found


def _named(change: Change) -> str:
    return f"change {change.seq} ({change.kind} of {change.video_id} at {change.path_bytes!r})"


def _impossible(change: Change, before: tuple[bytes, str] | None, known: bool) -> list[str]:
    """Say what does not follow from how the video stood before."""
    if change.kind == "added":
        return ["this id was added before"] if known else []
    if before is None:
        return ["nothing with this id is there"]
    if change.kind == "missing" and before[1] == "missing":
        return ["it was missing already"]
    if change.kind == "restored" and before[1] != "missing":
        return ["it was not missing"]
    return []


def catalogue_differences(disturbed: Catalogue, undisturbed: Catalogue, files: Iterable[Path]) -> list[str]:
    """Give what differs between a catalogue with a history and that of one undisturbed scan of the same files.

    The former may also hold videos that are missing, whose files are not there, and broken ones, whose files are there
    and are none that the undisturbed scan took for a video.
    """
    found: list[str] = []
    there = {str(path) for path in files}
    present = {path: video for path, video in disturbed.items() if video["state"] == "available"}
    for path, video in disturbed.items():
        if video["state"] == "missing" and path in there:
            found.append(f"{path} is there, and the catalogue says that it is missing")
        if video["state"] == "broken" and (path not in there or path in undisturbed):
            found.append(f"{path} is no broken video")
    found += [f"{path} is not in the catalogue" for path in undisturbed.keys() - present.keys()]
    found += [f"{path} is in the catalogue, and should not be" for path in present.keys() - undisturbed.keys()]
    for path in present.keys() & undisturbed.keys():
        names = [name for name, value in undisturbed[path].items() if present[path].get(name) != value]
        if names:
            told = [(name, present[path].get(name), undisturbed[path][name]) for name in names]
            found.append(f"{path} differs: {told}")
    return found


def shorten(found: list[str]) -> list[str]:
    """Give the first few of many."""
    more = len(found) - MOST_TOLD
    return found if more <= 0 else [*found[:MOST_TOLD], f"… and {more} more of the kind"]


def _feed(library: Database) -> list[Change]:
    entries: list[Change] = []
    while page := read(library, entries[-1].seq if entries else 0, PAGE):
        entries += page
    return entries


def _feed_against_list(library: Database, feed: list[Change]) -> list[str]:
    """Read from its start, the feed must give exactly the list."""
    query = select(videos.c.id, videos.c.path_bytes, videos.c.state)
    with library.read() as connection:
        present = {row.id: (row.path_bytes, row.state) for row in connection.execute(query)}
    replayed = replay(feed)
    told = "the feed says {} of {}, the list {}"
    found = [told.format(replayed.get(i), i, value) for i, value in present.items() if replayed.get(i) != value]
    found += [f"the feed has {i}, which the list lacks" for i in replayed.keys() - present.keys()]
    paths = Counter(path for path, state in present.values() if state != "missing")
    found += [f"{path!r} is listed {count} times as there" for path, count in paths.items() if count > 1]
    return found


def _unsettled(library: Database, complete: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A scan that is complete has marked all that it found gone."""
    with library.read() as connection:
        left = Counter(connection.execute(select(gone.c.job_id)).scalars())
    return [f"{count} videos are still noted as gone for {i}" for i, count in left.items() if i in complete]


def _ledgers_against_results(library: Database, complete: Mapping[str, Mapping[str, Any]]) -> list[str]:
    query = select(ledger.c.job_id, ledger.c.outcome, func.sum(ledger.c.count)).group_by(
        ledger.c.job_id, ledger.c.outcome
    )
    totals: dict[str, dict[str, int]] = defaultdict(dict)
    with library.read() as connection:
        for job_id, outcome, count in connection.execute(query):
            totals[job_id][outcome] = int(count)
    found = []
    outcomes = ("new", "updated", "moved", "restored", "unchanged", "missing", "skipped", "failed")
    for job_id, result in complete.items():
        stated = {name: result[name] for name in outcomes}
        stored = {name: totals[job_id].get(name, 0) for name in outcomes}
        if stated != stored:
            found.append(f"the result of {job_id} says {stated}, its ledger {stored}")
    return found


def _twice_new(library: Database) -> list[str]:
    """No video may be new to two jobs, and each that is new to one was added to the catalogue."""
    rows = select(ledger.c.video_id, ledger.c.job_id).where(ledger.c.outcome == "new", ledger.c.video_id.is_not(None))
    with library.read() as connection:
        new: dict[str, list[str]] = defaultdict(list)
        for video_id, job_id in connection.execute(rows):
            new[video_id].append(job_id)
        added = set(connection.execute(select(changes.c.video_id).where(changes.c.kind == "added")).scalars())
    found = [f"{video_id} is new to the jobs {jobs}" for video_id, jobs in new.items() if len(jobs) > 1]
    return found + [f"{i} is new to {jobs} and was never added" for i, jobs in new.items() if i not in added]
