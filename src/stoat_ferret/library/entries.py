"""Videos as rows: added, updated, set aside, brought back; for what a scan stores in one transaction (`batch`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from uuid_utils.compat import uuid7

from stoat_ferret import paths
from stoat_ferret.db.tables import libraries, rejects, video_details, videos
from stoat_ferret.db.upsert import insert, insert_all
from stoat_ferret.library import changes, details, grams, own
from stoat_ferret.library.models import FileKey, KnownFile, Outcome
from stoat_ferret.library.repository import steps
from stoat_ferret.library.results import FileResult
from stoat_ferret.library.text import searchable_text
from stoat_ferret.media.info import PROBE_VERSION, MediaInfo

INFO_COLUMNS = tuple(
    "duration container width height rotation display_width display_height video_codec video_profile pixel_format "
    "frame_rate frame_rate_float vfr bit_rate hdr audio_codec audio_channels".split()
)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 1 << 63
"""Beyond it, no number fits a column."""


def store_videos(
    connection: Connection,
    results: Sequence[tuple[int, str, FileResult]],
    entries: list[changes.Entry],
    now: int,
) -> dict[bytes, str]:
    """Insert or update the videos that were examined; gives their ids by path."""
    if not results:
        return {}
    # Asked here, under the write lock, and not trusted to the scan's picture, which another writer may have outdated.
    present = _present(connection, [result for _, _, result in results])
    contents = _contents(connection, [result for _, _, result in results])
    new: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    for folder_pk, library_id, result in results:
        values = _video_values(result) | {"folder_pk": folder_pk, "updated_at": now}
        known = present.get(result.path)
        if known is None:
            video_id = str(uuid7())
            values["content_id"] = contents.get(result.path)
            new.append(values | {"id": video_id, "library_id": library_id, "added_at": now})
            entries.append(("added", video_id, result.path, "available"))
        else:
            # What was known of the content holds as long as the file is the same, however often it is examined.
            same = known.key.same_file(result.key)
            if result.origin is not None:
                same = result.origin.key.same_content(result.key)
            values["content_id"] = known.content_id if same else contents.get(result.path)
            old.append(values | {"video_pk": known.pk})
            if result.origin is None:  # of one that has moved, the move is told
                kind = "restored" if result.outcome is Outcome.RESTORED else "updated"
                entries.append((kind, known.id, result.path, "available"))
    if new:
        insert_all(connection, videos, new)
        connection.execute(delete(rejects).where(rejects.c.path_bytes.in_([row["path_bytes"] for row in new])))
        _count(connection, new)
    if old:
        connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), old)
    found = _present(connection, [result for _, _, result in results])
    _store_details(connection, [(found[result.path].pk, result) for _, _, result in results], set(present))
    return {path: row.id for path, row in found.items()}


@dataclass(frozen=True, slots=True)
class _Present:
    pk: int
    id: str
    key: FileKey
    content_id: str | None


def _present(connection: Connection, results: Sequence[FileResult]) -> dict[bytes, _Present]:
    """Give the entries that files belong to, by path: what is there, else the one the scan knew, else the last."""
    names = ("path_bytes", "pk", "id", "content_id", "size", "mtime_ns", "inode", "device")
    query = select(*(videos.c[name] for name in names)).order_by(
        videos.c.state != "missing", videos.c.missing_since, videos.c.pk
    )
    wanted = {result.path: result.known.video_pk if result.known else None for result in results}
    live = {videos.c.state != "missing"}
    found: dict[bytes, _Present] = {}
    rows = connection.execute(query.add_columns(*live).where(videos.c.path_bytes.in_(list(wanted)))).all()
    for row in rows:
        is_there = bool(row[-1])
        if is_there or row.path_bytes not in found or found[row.path_bytes].pk != wanted[row.path_bytes]:
            key = FileKey(row.size, row.mtime_ns, row.inode, row.device)
            found[row.path_bytes] = _Present(row.pk, row.id, key, row.content_id)
    return found


def _contents(connection: Connection, results: Sequence[FileResult]) -> dict[bytes, str]:
    """Give the content's id for files that are one with another entry's, by path; it is made where that had none."""
    twins = {result.twin.video_pk: result.path for result in results if result.twin and result.twin.video_pk}
    found: dict[bytes, str] = {}
    for step in steps(sorted(twins)):
        rows = connection.execute(select(videos.c.pk, videos.c.content_id).where(videos.c.pk.in_(step))).all()
        for row in rows:
            content_id = row.content_id
            if content_id is None:
                content_id = f"file:{uuid7()}"
                connection.execute(update(videos).where(videos.c.pk == row.pk).values(content_id=content_id))
            found[twins[row.pk]] = content_id
    return found


def _video_values(result: FileResult) -> dict[str, Any]:
    info = result.info
    assert info is not None  # noqa: S101  # the caller chose results with one
    shown = paths.display(result.path)
    return {name: _fitted(getattr(info, name)) for name in INFO_COLUMNS} | {
        "path_bytes": result.path,
        "path": shown,
        "filename": shown.rpartition("/")[2],
        **result.key.columns(),
        "birth_ns": result.birth_ns,
        "modified_at": result.key.mtime_ns // 1_000,
        "state": "available",
        "missing_since": None,
        "title": _title(info),
        "created_at_in_camera": _microseconds(info.created_at_in_camera),
        "fingerprint": result.fingerprint,
        "probe_level": "full",
        "probe_version": PROBE_VERSION,
        "probe_error": None,
        "probe_error_code": None,
        "probe_error_at": None,
    }


def _fitted(value: Any) -> Any:
    """Give what a file claims; None, as for what is not known, where no column holds such a number."""
    match value:
        case int() if not -MOST <= value < MOST:
            return None
        case float() if not math.isfinite(value):
            return None
    return value


def _title(info: MediaInfo) -> str | None:
    return next((value for name, value in info.tags.items() if name.lower() == "title" and value.strip()), None)


def _microseconds(time: str | None) -> int | None:
    return None if time is None else (datetime.fromisoformat(time) - EPOCH) // timedelta(microseconds=1)


def _count(connection: Connection, new: Sequence[dict[str, Any]]) -> None:
    for library_id in {row["library_id"] for row in new}:
        added = sum(row["library_id"] == library_id for row in new)
        count = libraries.c.video_count + added
        connection.execute(update(libraries).where(libraries.c.id == library_id).values(video_count=count))


def _store_details(connection: Connection, results: Sequence[tuple[int, FileResult]], old: set[bytes]) -> None:
    rows: list[dict[str, Any]] = []
    added: list[tuple[int, str]] = []
    changed: list[int] = []
    for pk, result in results:
        info = result.info
        assert info is not None  # noqa: S101  # the caller chose results with one
        rows.append({"video_pk": pk, **details.stored(info)})
        if result.path in old:
            changed.append(pk)
        else:
            added.append((pk, searchable_text(result.path, _title(info), info.tags)))
    insert_all(connection, video_details, rows, over=("video_pk",))
    grams.add(connection, added)
    own.describe(connection, changed)


def store_rejects(
    connection: Connection, results: Sequence[tuple[int, FileResult]], entries: list[changes.Entry], now: int
) -> dict[bytes, str]:
    """Remember files that are no usable videos: a known video becomes broken, the rest is kept out of the catalogue."""
    outcomes = [(pk, r) for pk, r in results if r.outcome in (Outcome.FAILED, Outcome.SKIPPED)]
    if not outcomes:
        return {}
    present = _present(connection, [result for _, result in outcomes])
    unknown = [
        {
            "folder_pk": folder_pk,
            "path_bytes": result.path,
            **result.key.columns(),
            "outcome": result.outcome,
            "code": result.code,
            "reason": result.reason,
            "at": now,
            "probe_version": PROBE_VERSION,
        }
        for folder_pk, result in outcomes
        if result.path not in present
    ]
    if unknown:
        statement = insert(connection, rejects)
        excluded = {name: statement.excluded[name] for name in unknown[0] if name != "path_bytes"}
        connection.execute(statement.on_conflict_do_update(index_elements=["path_bytes"], set_=excluded), unknown)
    broken = [
        {
            "video_pk": present[result.path].pk,
            **result.key.columns(),
            "modified_at": result.key.mtime_ns // 1_000,
            "updated_at": now,
            "state": "broken",
            "missing_since": None,
            "probe_error": result.reason,
            "probe_error_code": result.code,
            "probe_error_at": now,
            "probe_version": PROBE_VERSION,
            "content_id": (present[result.path].content_id if present[result.path].key.same_file(result.key) else None),
        }
        for _, result in outcomes
        if result.path in present
    ]
    if broken:
        connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), broken)
        entries += [("updated", row.id, path, "broken") for path, row in present.items()]
    return {path: row.id for path, row in present.items()}


def restore(
    connection: Connection, results: Sequence[FileResult], entries: list[changes.Entry], now: int
) -> dict[bytes, str]:
    """Bring back missing videos whose files are there again, unchanged."""
    columns = (videos.c.path_bytes, videos.c.pk, videos.c.id, videos.c.probe_error)
    wanted = [result.known.video_pk for result in results if result.known and result.known.video_pk]
    there = {
        path
        for step in steps([result.path for result in results])
        for path in connection.execute(
            select(videos.c.path_bytes).where(videos.c.path_bytes.in_(step), videos.c.state != "missing")
        ).scalars()
    }
    present = [
        row
        for step in steps(wanted)
        for row in connection.execute(select(*columns).where(videos.c.pk.in_(step)))
        if row.path_bytes not in there
    ]
    rows = [
        {
            "video_pk": row.pk,
            "state": "available" if row.probe_error is None else "broken",
            "missing_since": None,
            "updated_at": now,
        }
        for row in present
    ]
    if rows:
        connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), rows)
        states = [row["state"] for row in rows]
        entries += [("restored", row.id, row.path_bytes, state) for row, state in zip(present, states, strict=True)]
    return {row.path_bytes: row.id for row in present}


def refresh(connection: Connection, pairs: Sequence[tuple[KnownFile, FileKey]]) -> None:
    """Take note of the inodes that unchanged files have now."""
    columns: dict[str, Any] = {"inode": bindparam("new_inode"), "device": bindparam("new_device")}
    for table, which in ((videos, "pk"), (rejects, "path_bytes")):
        rows = [
            {"which": known.video_pk or known.path, "new_inode": key.inode, "new_device": key.device}
            for known, key in pairs
            if (known.video_pk is not None) == (table is videos)
        ]
        if rows:
            connection.execute(update(table).where(table.c[which] == bindparam("which")).values(columns), rows)
