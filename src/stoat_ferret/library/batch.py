"""What a scan stores in one transaction: files with their outcomes, finished folders, ledger, feed, counters."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update
from uuid_utils.compat import uuid7

from stoat_ferret import paths
from stoat_ferret.db.tables import folders, libraries, rejects, video_details, videos
from stoat_ferret.db.upsert import insert
from stoat_ferret.library import absence, changes, grams, ledger
from stoat_ferret.library.models import FileKey, KnownFile, KnownFolder, LedgerRow, Outcome
from stoat_ferret.library.repository import now_us, steps
from stoat_ferret.library.text import searchable_text
from stoat_ferret.media.info import ChapterInfo, MediaInfo, StreamInfo

INFO_COLUMNS = tuple(
    "duration container width height rotation display_width display_height video_codec video_profile pixel_format "
    "frame_rate frame_rate_float vfr bit_rate hdr audio_codec audio_channels".split()
)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST = 1 << 63
"""Beyond it, no number fits a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What became of one file."""

    path: bytes
    key: FileKey
    outcome: Outcome
    known: KnownFile | None = None
    info: MediaInfo | None = None
    """Set where the file was examined and is a video."""
    fingerprint: str | None = None
    code: str | None = None
    reason: str | None = None
    remember: bool = True
    """False where nothing is to be stored besides the ledger's row: a failure that may pass, or is known already."""
    bytes_read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderClosing:
    """What is stored once every file of a folder has its outcome."""

    digest: bytes | None
    unchanged_count: int
    reject_count: int
    newly_counted: int
    """Unchanged files that have no row of their own in this job's ledger."""
    gone: tuple[KnownFile, ...] = ()


@dataclass(slots=True, kw_only=True)
class FolderBatch:
    """Results in one folder, as far as they go."""

    path: bytes
    library_id: str
    known: KnownFolder | None
    files: list[FileResult] = field(default_factory=list)
    closing: FolderClosing | None = None


def apply(
    connection: Connection, job_id: str, batches: Sequence[FolderBatch], *, dry_run: bool = False
) -> dict[bytes, int]:
    """Store results; gives the folders' keys by path. In a dry run only the ledger is written, and {} is given."""
    now = now_us()
    gone = [known for batch in batches if batch.closing for known in batch.closing.gone]
    if dry_run:
        absence.note(connection, job_id, gone)
        _record(connection, job_id, [(batch.known.pk if batch.known else None, batch) for batch in batches], {}, now)
        return {}
    pks = ensure_folders(connection, batches)
    entries: list[changes.Entry] = []
    ids = _store_videos(
        connection, [(pks[b.path], b.library_id, f) for b in batches for f in b.files if f.info], entries, now
    )
    rejected = [(pks[b.path], f) for b in batches for f in b.files if f.info is None and f.remember]
    ids |= _store_rejects(connection, rejected, entries, now)
    ids |= _restore(connection, [f for b in batches for f in b.files if _only_restored(f)], entries, now)
    _close_folders(connection, [(pks[b.path], b.known, b.closing) for b in batches if b.closing])
    absence.note(connection, job_id, gone)
    changes.append(connection, entries, now)
    _record(connection, job_id, [(pks[batch.path], batch) for batch in batches], ids, now)
    return pks


def _only_restored(result: FileResult) -> bool:
    return result.outcome is Outcome.RESTORED and result.info is None


def ensure_folders(connection: Connection, batches: Sequence[FolderBatch]) -> dict[bytes, int]:
    """Make folders known that are not yet; gives the keys of all by path."""
    pks = {batch.path: batch.known.pk for batch in batches if batch.known is not None}
    for batch in batches:
        if batch.path not in pks:
            statement = insert(connection, folders).values(path_bytes=batch.path, library_id=batch.library_id)
            statement = statement.on_conflict_do_update(
                index_elements=["path_bytes"], set_={"library_id": statement.excluded.library_id}
            )
            pks[batch.path] = connection.execute(statement.returning(folders.c.pk)).scalar_one()
    return pks


def _store_videos(
    connection: Connection,
    results: Sequence[tuple[int, str, FileResult]],
    entries: list[changes.Entry],
    now: int,
) -> dict[bytes, str]:
    """Insert or update the videos that were examined; gives their ids by path."""
    if not results:
        return {}
    # Asked here, under the write lock, and not trusted to the scan's picture, which another writer may have outdated.
    present = _present(connection, [result.path for _, _, result in results])
    new: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    for folder_pk, library_id, result in results:
        values = _video_values(result) | {"folder_pk": folder_pk, "updated_at": now}
        known = present.get(result.path)
        if known is None:
            video_id = str(uuid7())
            new.append(values | {"id": video_id, "library_id": library_id, "added_at": now})
            entries.append(("added", video_id, result.path, "available"))
        else:
            old.append(values | {"video_pk": known[0]})
            kind = "restored" if result.outcome is Outcome.RESTORED else "updated"
            entries.append((kind, known[1], result.path, "available"))
    if new:
        connection.execute(insert(connection, videos), new)
        connection.execute(delete(rejects).where(rejects.c.path_bytes.in_([row["path_bytes"] for row in new])))
        _count(connection, new)
    if old:
        connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), old)
    found = _present(connection, [result.path for _, _, result in results])
    _store_details(connection, [(found[result.path][0], result) for _, _, result in results], set(present))
    return {path: video_id for path, (_, video_id) in found.items()}


def _present(connection: Connection, wanted: Sequence[bytes]) -> dict[bytes, tuple[int, str]]:
    query = select(videos.c.path_bytes, videos.c.pk, videos.c.id).where(videos.c.path_bytes.in_(wanted))
    return {row.path_bytes: (row.pk, row.id) for row in connection.execute(query)}


def _video_values(result: FileResult) -> dict[str, Any]:
    info = result.info
    assert info is not None  # noqa: S101  # the caller chose results with one
    shown = paths.display(result.path)
    return {name: _fitted(getattr(info, name)) for name in INFO_COLUMNS} | {
        "path_bytes": result.path,
        "path": shown,
        "filename": shown.rpartition("/")[2],
        **asdict(result.key),
        "modified_at": result.key.mtime_ns // 1_000,
        "state": "available",
        "missing_since": None,
        "title": _title(info),
        "created_at_in_camera": _microseconds(info.created_at_in_camera),
        "fingerprint": result.fingerprint,
        "probe_level": "full",
        "probe_error": None,
        "probe_error_code": None,
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
    changed: list[tuple[int, str]] = []
    for pk, result in results:
        info = result.info
        assert info is not None  # noqa: S101  # the caller chose results with one
        streams, chapters = [_plain(stream) for stream in info.streams], [_plain(chapter) for chapter in info.chapters]
        rows.append({"video_pk": pk, "streams": streams, "chapters": chapters, "tags": info.tags})
        folded = searchable_text(result.path, _title(info), info.tags)
        (changed if result.path in old else added).append((pk, folded))
    statement = insert(connection, video_details)
    excluded = {name: statement.excluded[name] for name in ("streams", "chapters", "tags")}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_pk"], set_=excluded), rows)
    grams.add(connection, added)
    grams.replace(connection, changed)


def _plain(part: StreamInfo | ChapterInfo) -> dict[str, Any]:
    """Give what `asdict` gives, without the deep copy of each number, which takes longer than to store them."""
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def _store_rejects(
    connection: Connection, results: Sequence[tuple[int, FileResult]], entries: list[changes.Entry], now: int
) -> dict[bytes, str]:
    """Remember files that are no usable videos: a known video becomes broken, the rest is kept out of the catalogue."""
    outcomes = [(pk, r) for pk, r in results if r.outcome in (Outcome.FAILED, Outcome.SKIPPED)]
    if not outcomes:
        return {}
    present = _present(connection, [result.path for _, result in outcomes])
    unknown = [
        {
            "folder_pk": folder_pk,
            "path_bytes": result.path,
            **asdict(result.key),
            "outcome": result.outcome,
            "code": result.code,
            "reason": result.reason,
            "at": now,
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
            "video_pk": present[result.path][0],
            **asdict(result.key),
            "modified_at": result.key.mtime_ns // 1_000,
            "updated_at": now,
            "state": "broken",
            "missing_since": None,
            "probe_error": result.reason,
            "probe_error_code": result.code,
        }
        for _, result in outcomes
        if result.path in present
    ]
    if broken:
        connection.execute(update(videos).where(videos.c.pk == bindparam("video_pk")), broken)
        entries += [("updated", video_id, path, "broken") for path, (_, video_id) in present.items()]
    return {path: video_id for path, (_, video_id) in present.items()}


def _restore(
    connection: Connection, results: Sequence[FileResult], entries: list[changes.Entry], now: int
) -> dict[bytes, str]:
    """Bring back missing videos whose files are there again, unchanged."""
    columns = (videos.c.path_bytes, videos.c.pk, videos.c.id, videos.c.probe_error)
    present = [
        row
        for wanted in steps([result.path for result in results])
        for row in connection.execute(select(*columns).where(videos.c.path_bytes.in_(wanted)))
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


def _close_folders(connection: Connection, closings: Sequence[tuple[int, KnownFolder | None, FolderClosing]]) -> None:
    forgotten = [file.path for _, _, closing in closings for file in closing.gone if file.video_pk is None]
    for step in steps(forgotten):
        connection.execute(delete(rejects).where(rejects.c.path_bytes.in_(step)))
    # A folder that is as it was is left alone: someone may have cleared its digest since this scan read it.
    changed = {pk: closing for pk, known, closing in closings if not _as_before(known, closing)}
    counted = _count_files(connection, [pk for pk, closing in changed.items() if closing.digest])
    rows = [
        {
            "folder_pk": pk,
            # Where an entry was deleted meanwhile, the digest would hide its file from the next scan.
            "digest": closing.digest if counted.get(pk) == closing.unchanged_count + closing.reject_count else None,
            "unchanged_count": closing.unchanged_count,
            "reject_count": closing.reject_count,
        }
        for pk, closing in changed.items()
    ]
    if rows:
        connection.execute(update(folders).where(folders.c.pk == bindparam("folder_pk")), rows)


def _as_before(known: KnownFolder | None, closing: FolderClosing) -> bool:
    return known is not None and (known.digest, known.unchanged_count, known.reject_count) == (
        closing.digest,
        closing.unchanged_count,
        closing.reject_count,
    )


def _count_files(connection: Connection, pks: Sequence[int]) -> dict[int, int]:
    """Count what the catalogue has directly in each folder: videos that are not missing, and remembered others."""
    counted = dict.fromkeys(pks, 0)
    for step in steps(pks):
        kept = (videos.c.folder_pk.in_(step), videos.c.state != "missing")
        others = rejects.c.folder_pk.in_(step)
        for query in (
            select(videos.c.folder_pk, func.count()).where(*kept).group_by(videos.c.folder_pk),
            select(rejects.c.folder_pk, func.count()).where(others).group_by(rejects.c.folder_pk),
        ):
            for pk, count in connection.execute(query):
                counted[pk] += count
    return counted


def _record(
    connection: Connection,
    job_id: str,
    batches: Sequence[tuple[int | None, FolderBatch]],
    ids: dict[bytes, str],
    now: int,
) -> None:
    rows: list[tuple[int | None, LedgerRow]] = []
    outdated: list[bytes] = []
    for folder_pk, batch in batches:
        for result in batch.files:
            video_id = ids.get(result.path) or (result.known.video_id if result.known else None)
            row = LedgerRow(
                path_bytes=result.path,
                outcome=result.outcome,
                at=now,
                code=result.code,
                reason=result.reason,
                video_id=video_id,
            )
            rows.append((folder_pk, row))
        if batch.closing is None:
            continue
        if not batch.closing.newly_counted:
            # An attempt that was cut off may have found some here, or none at all.
            outdated.append(batch.path)
        else:
            count = batch.closing.newly_counted
            rows.append((folder_pk, LedgerRow(path_bytes=batch.path, outcome=Outcome.UNCHANGED, at=now, count=count)))
    ledger.withdraw(connection, job_id, outdated)
    ledger.record(connection, job_id, rows)
