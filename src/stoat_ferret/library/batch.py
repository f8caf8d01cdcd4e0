"""What a scan stores in one transaction: files with their outcomes, finished folders, ledger, feed, counters."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from sqlalchemy import Connection, bindparam, delete, func, select, update

from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.tables import folders, rejects, videos
from stoat_ferret.db.upsert import inserting
from stoat_ferret.library import absence, changes, entries, ledger, moves
from stoat_ferret.library.models import KnownFolder, LedgerRow, Outcome
from stoat_ferret.library.repository import now_us, steps
from stoat_ferret.library.results import FileResult, FolderBatch, FolderClosing


def apply(
    connection: Connection, job_id: str, batches: Sequence[FolderBatch], *, dry_run: bool = False
) -> dict[bytes, int]:
    """Store results; gives the folders' keys by path. In a dry run only the ledger is written, and {} is given."""
    now = now_us()
    closings = [batch.closing for batch in batches if batch.closing]
    if dry_run:
        for closing in closings:
            absence.note(connection, job_id, closing.gone, closing.ignored)
        _record(connection, job_id, [(batch.known.pk if batch.known else None, batch) for batch in batches], {}, now)
        return {}
    pks = ensure_folders(connection, batches)
    told: list[changes.Entry] = []
    ids = _move(connection, batches, pks, told, now)
    examined = [(pks[b.path], b.library_id, f) for b in batches for f in b.files if f.info]
    ids |= entries.store_videos(connection, examined, told, now)
    rejected = [(pks[b.path], f) for b in batches for f in b.files if f.info is None and f.remember]
    ids |= entries.store_rejects(connection, rejected, told, now)
    ids |= entries.restore(connection, [f for b in batches for f in b.files if _only_restored(f)], told, now)
    entries.refresh(connection, [pair for batch in batches for pair in batch.refreshed])
    _close_folders(connection, [(pks[b.path], b.known, b.closing) for b in batches if b.closing])
    for closing in closings:
        absence.note(connection, job_id, closing.gone, closing.ignored)
    changes.append(connection, told, now)
    _record(connection, job_id, [(pks[batch.path], batch) for batch in batches], ids, now)
    return pks


def _move(
    connection: Connection,
    batches: Sequence[FolderBatch],
    pks: dict[bytes, int],
    told: list[changes.Entry],
    now: int,
) -> dict[bytes, str]:
    """Let entries go with their files; gives their ids by path. Results of those that could not are corrected."""
    wanted = [
        moves.Move(
            video_pk=result.origin.video_pk,
            from_path=result.origin.path,
            path=result.path,
            key=result.key,
            folder_pk=pks[batch.path],
            library_id=batch.library_id,
        )
        for batch in batches
        for result in batch.files
        if result.origin is not None and result.origin.video_pk is not None
    ]
    if not wanted:
        return {}
    ids = moves.move(connection, wanted, told, now)
    for batch in batches:
        batch.files = [result if result.path in ids else _without_origin(result) for result in batch.files]
    return ids


def _without_origin(result: FileResult) -> FileResult:
    """Correct a result whose entry someone else has changed meanwhile; the next scan sees what is to be done."""
    if result.origin is None or result.origin.video_pk is None:
        return result
    if result.info is not None:
        return replace(result, origin=None, outcome=Outcome.NEW)
    if result.outcome not in (Outcome.MOVED, Outcome.RESTORED):
        return replace(result, origin=None)
    return replace(
        result,
        origin=None,
        outcome=Outcome.SKIPPED,
        remember=False,
        code="CHANGED_MEANWHILE",
        reason="The entry that belongs to this file was changed while the scan ran. The next scan looks again.",
    )


def _only_restored(result: FileResult) -> bool:
    return result.outcome is Outcome.RESTORED and result.info is None and result.origin is None


def ensure_folders(connection: Connection, batches: Sequence[FolderBatch]) -> dict[bytes, int]:
    """Make folders known that are not yet; gives the keys of all by path."""
    pks = {batch.path: batch.known.pk for batch in batches if batch.known is not None}
    for batch in batches:
        if batch.path not in pks:
            (made,) = _ensuring(connection.dialect.name).rows(
                connection, path_bytes=batch.path, library_id=batch.library_id
            )
            pks[batch.path] = made["pk"]
    return pks


@cache
def _ensuring(dialect: str) -> Prepared:
    statement = inserting(dialect, folders).values({name: bindparam(name) for name in ("path_bytes", "library_id")})
    statement = statement.on_conflict_do_update(
        index_elements=["path_bytes"], set_={"library_id": statement.excluded.library_id}
    )
    return Prepared(statement.returning(folders.c.pk))


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
            known = result.origin or result.known
            video_id = ids.get(result.path) or (known.video_id if known else None)
            row = LedgerRow(
                path_bytes=result.path,
                outcome=result.outcome,
                at=now,
                code=result.code,
                reason=result.reason,
                video_id=video_id,
                from_path_bytes=result.origin.path if result.outcome is Outcome.MOVED and result.origin else None,
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
