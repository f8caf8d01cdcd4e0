"""What a scan stores in one transaction: files with their outcomes, finished folders, ledger, feed, counters."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, literal, select, update
from sqlalchemy.dialects.sqlite import insert
from uuid_utils.compat import uuid7

from stoat_ferret import paths
from stoat_ferret.db.tables import folders, gone, libraries, rejects, video_details, videos
from stoat_ferret.library import changes, grams, ledger
from stoat_ferret.library.models import FileKey, KnownFile, KnownFolder, LedgerRow, Outcome
from stoat_ferret.library.repository import ROWS_A_STEP, now_us, steps
from stoat_ferret.library.text import searchable_text
from stoat_ferret.media.info import MediaInfo

INFO_COLUMNS = tuple(
    "duration container width height rotation display_width display_height video_codec video_profile pixel_format "
    "frame_rate frame_rate_float vfr bit_rate hdr audio_codec audio_channels".split()
)


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
    if dry_run:
        _record(connection, job_id, [(batch.known.pk if batch.known else None, batch) for batch in batches], {}, now)
        return {}
    pks = _ensure_folders(connection, batches)
    entries: list[changes.Entry] = []
    ids = _store_videos(
        connection, [(pks[b.path], b.library_id, f) for b in batches for f in b.files if f.info], entries, now
    )
    rejected = [(pks[b.path], f) for b in batches for f in b.files if f.info is None and f.remember]
    ids |= _store_rejects(connection, rejected, entries, now)
    ids |= _restore(connection, [f for b in batches for f in b.files if _only_restored(f)], entries, now)
    _close_folders(connection, job_id, [(pks[batch.path], batch.closing) for batch in batches if batch.closing])
    changes.append(connection, entries, now)
    _record(connection, job_id, [(pks[batch.path], batch) for batch in batches], ids, now)
    return pks


def _only_restored(result: FileResult) -> bool:
    return result.outcome is Outcome.RESTORED and result.info is None


def _ensure_folders(connection: Connection, batches: Sequence[FolderBatch]) -> dict[bytes, int]:
    pks = {batch.path: batch.known.pk for batch in batches if batch.known is not None}
    for batch in batches:
        if batch.path not in pks:
            statement = insert(folders).values(path_bytes=batch.path, library_id=batch.library_id)
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
        connection.execute(insert(videos), new)
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
    return {name: getattr(info, name) for name in INFO_COLUMNS} | {
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
    }


def _title(info: MediaInfo) -> str | None:
    return next((value for name, value in info.tags.items() if name.lower() == "title" and value.strip()), None)


def _microseconds(time: str | None) -> int | None:
    return None if time is None else round(datetime.fromisoformat(time).timestamp() * 1_000_000)


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
        plain = info.to_json()
        rows.append({"video_pk": pk, **{name: plain[name] for name in ("streams", "chapters", "tags")}})
        folded = searchable_text(result.path, _title(info), info.tags)
        (changed if result.path in old else added).append((pk, folded))
    statement = insert(video_details)
    excluded = {name: statement.excluded[name] for name in ("streams", "chapters", "tags")}
    connection.execute(statement.on_conflict_do_update(index_elements=["video_pk"], set_=excluded), rows)
    grams.add(connection, added)
    grams.replace(connection, changed)


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
        statement = insert(rejects)
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
    if not results:
        return {}
    columns = (videos.c.path_bytes, videos.c.pk, videos.c.id, videos.c.probe_error)
    wanted = [result.path for result in results]
    present = connection.execute(select(*columns).where(videos.c.path_bytes.in_(wanted))).all()
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


def _close_folders(connection: Connection, job_id: str, closings: Sequence[tuple[int, FolderClosing]]) -> None:
    rows = [
        {
            "folder_pk": pk,
            "digest": closing.digest,
            "unchanged_count": closing.unchanged_count,
            "reject_count": closing.reject_count,
        }
        for pk, closing in closings
    ]
    if rows:
        connection.execute(update(folders).where(folders.c.pk == bindparam("folder_pk")), rows)
    vanished = [known for _, closing in closings for known in closing.gone]
    lost = [{"job_id": job_id, "video_pk": known.video_pk} for known in vanished if known.video_pk is not None]
    if lost:
        connection.execute(insert(gone).on_conflict_do_nothing(), lost)
    forgotten = [known.path for known in vanished if known.video_pk is None]
    if forgotten:
        connection.execute(delete(rejects).where(rejects.c.path_bytes.in_(forgotten)))


def _record(
    connection: Connection,
    job_id: str,
    batches: Sequence[tuple[int | None, FolderBatch]],
    ids: dict[bytes, str],
    now: int,
) -> None:
    rows: list[tuple[int | None, LedgerRow]] = []
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
        if batch.closing and batch.closing.newly_counted:
            count = batch.closing.newly_counted
            rows.append((folder_pk, LedgerRow(path_bytes=batch.path, outcome=Outcome.UNCHANGED, at=now, count=count)))
    ledger.record(connection, job_id, rows)


def add_absent_folders(connection: Connection, job_id: str, pks: Sequence[int], *, dry_run: bool = False) -> None:
    """Take all that is known in folders that are no longer there as gone; forget what was remembered about the rest."""
    for step in steps(pks):
        lost = select(literal(job_id), videos.c.pk).where(videos.c.folder_pk.in_(step), videos.c.state != "missing")
        connection.execute(insert(gone).from_select(["job_id", "video_pk"], lost).on_conflict_do_nothing())
        if not dry_run:
            connection.execute(delete(rejects).where(rejects.c.folder_pk.in_(step)))
            connection.execute(update(folders).where(folders.c.pk.in_(step)).values(digest=None))


def drop_empty_folders(connection: Connection, pks: Sequence[int]) -> None:
    """Forget folders that are no longer there and of which no video is kept."""
    for step in steps(pks):
        kept = select(videos.c.folder_pk).where(videos.c.folder_pk.in_(step))
        connection.execute(delete(folders).where(folders.c.pk.in_(step), folders.c.pk.not_in(kept)))


def clear_gone(connection: Connection, job_id: str) -> None:
    """Forget what was taken as gone, by this job."""
    connection.execute(delete(gone).where(gone.c.job_id == job_id))


def count_gone(connection: Connection, job_id: str) -> int:
    """Count what was taken as gone by this job and is not marked missing yet."""
    return connection.execute(select(func.count()).select_from(gone).where(gone.c.job_id == job_id)).scalar_one()


def mark_missing(connection: Connection, job_id: str, *, dry_run: bool = False) -> int:
    """Mark some of what is gone as missing since now; gives how many are done, 0 when none are left."""
    now = now_us()
    query = select(gone.c.video_pk).where(gone.c.job_id == job_id).limit(ROWS_A_STEP)
    pks = connection.execute(query).scalars().all()
    if not pks:
        return 0
    columns = (videos.c.pk, videos.c.id, videos.c.path_bytes, videos.c.folder_pk)
    rows = connection.execute(select(*columns).where(videos.c.pk.in_(pks), videos.c.state != "missing")).all()
    if not dry_run and rows:
        values = {"state": "missing", "missing_since": now, "updated_at": now}
        connection.execute(update(videos).where(videos.c.pk.in_([row.pk for row in rows])).values(values))
        changes.append(connection, [("missing", row.id, row.path_bytes, "missing") for row in rows], now)
    entries = [
        (
            row.folder_pk,
            LedgerRow(
                path_bytes=row.path_bytes,
                outcome=Outcome.MISSING,
                at=now,
                code="GONE",
                reason="The file is no longer there.",
                video_id=row.id,
            ),
        )
        for row in rows
    ]
    ledger.record(connection, job_id, entries)
    connection.execute(delete(gone).where(gone.c.job_id == job_id, gone.c.video_pk.in_(pks)))
    return len(pks)
