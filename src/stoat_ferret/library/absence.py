"""What is gone: noted for a job while it walks, marked missing when it settles."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import ColumnElement, Connection, delete, exists, func, literal, select, update

from stoat_ferret.db.columns import Words
from stoat_ferret.db.tables import folders, gone, rejects, videos
from stoat_ferret.db.tables import ledger as ledger_rows
from stoat_ferret.db.upsert import insert
from stoat_ferret.library import changes, ledger
from stoat_ferret.library.models import KnownFile, LedgerRow, Outcome
from stoat_ferret.library.repository import ROWS_A_STEP, below, now_us, steps

NONE_IGNORED: Mapping[bytes, str] = MappingProxyType({})


def note(
    connection: Connection, job_id: str, files: Sequence[KnownFile], ignored: Mapping[bytes, str] = NONE_IGNORED
) -> None:
    """Note the videos among files that a complete listing lacks as gone, unless they are elsewhere by now.

    Args:
        connection: in a transaction.
        job_id: the scan.
        files: what is gone.
        ignored: why some of them count as gone though their files are there, by path.
    """
    wanted = {known.video_pk: known.path for known in files if known.video_pk is not None}
    for step in steps(list(wanted)):
        found = connection.execute(select(videos.c.pk, videos.c.path_bytes).where(videos.c.pk.in_(step))).all()
        rows = [
            {"job_id": job_id, "video_pk": row.pk, "reason": ignored.get(row.path_bytes)}
            for row in found
            if row.path_bytes == wanted[row.pk]
        ]
        if rows:
            connection.execute(insert(connection, gone).on_conflict_do_nothing(), rows)


def note_folders(
    connection: Connection, job_id: str, pks: Sequence[int], *, reason: str | None = None, dry_run: bool = False
) -> None:
    """Take all that is known in folders that are no longer there as gone; forget what was remembered about the rest.

    Args:
        connection: in a transaction.
        job_id: the scan.
        pks: the folders' keys.
        reason: why they count as gone though they are there.
        dry_run: forget nothing.
    """
    for step in steps(pks):
        lost = select(literal(job_id), videos.c.pk, literal(reason, Words))
        lost = lost.where(videos.c.folder_pk.in_(step), videos.c.state != "missing")
        noted = insert(connection, gone).from_select(["job_id", "video_pk", "reason"], lost)
        connection.execute(noted.on_conflict_do_nothing())
        if not dry_run:
            connection.execute(delete(rejects).where(rejects.c.folder_pk.in_(step)))
            connection.execute(update(folders).where(folders.c.pk.in_(step)).values(digest=None))


def drop_empty_folders(connection: Connection, pks: Sequence[int]) -> None:
    """Forget folders that are no longer there and of which no video is kept."""
    for step in steps(pks):
        kept = select(videos.c.folder_pk).where(videos.c.folder_pk.in_(step))
        connection.execute(delete(folders).where(folders.c.pk.in_(step), folders.c.pk.not_in(kept)))


def clear(connection: Connection, job_id: str, library_id: str | None = None) -> None:
    """Forget what was taken as gone by this job, of one library or of all."""
    connection.execute(delete(gone).where(*_of(job_id, library_id)))


def withdraw_below(connection: Connection, job_id: str, folder: bytes) -> int:
    """Do not take for gone what is known under a folder: nobody knows what was there when it was looked for.

    Gives how much that is.
    """
    pks = select(videos.c.pk).where(below(videos.c.path_bytes, folder))
    return connection.execute(delete(gone).where(gone.c.job_id == job_id, gone.c.video_pk.in_(pks))).rowcount


def drop_moved(connection: Connection, job_id: str) -> None:
    """Do not take for gone what this job has found elsewhere: in a dry run its entry has stayed where it was."""
    moved = select(ledger_rows.c.video_id).where(
        ledger_rows.c.job_id == job_id, ledger_rows.c.from_path_bytes.is_not(None)
    )
    pks = select(videos.c.pk).where(videos.c.id.in_(moved))
    connection.execute(delete(gone).where(gone.c.job_id == job_id, gone.c.video_pk.in_(pks)))


def count(connection: Connection, job_id: str, library_id: str | None = None) -> int:
    """Count what is not there any more and not marked missing yet, of one library or of all; not what is ignored."""
    query = select(func.count()).select_from(gone).where(*_of(job_id, library_id), gone.c.reason.is_(None))
    return connection.execute(query).scalar_one()


def count_brought(connection: Connection, job_id: str, library_id: str) -> int:
    """Count those of them that the job itself, in an attempt that was cut off, had added or restored."""
    # Row by row: a list of all that a first scan has brought, a million perhaps, would be held in memory.
    brought = exists().where(
        videos.c.pk == gone.c.video_pk,
        ledger_rows.c.job_id == job_id,
        ledger_rows.c.path_bytes == videos.c.path_bytes,
        ledger_rows.c.video_id == videos.c.id,
        ledger_rows.c.outcome.in_((Outcome.NEW, Outcome.RESTORED)),
    )
    lost = (*_of(job_id, library_id), gone.c.reason.is_(None), brought)
    query = select(func.count()).select_from(gone).where(*lost)
    return connection.execute(query).scalar_one()


def _of(job_id: str, library_id: str | None) -> tuple[ColumnElement[bool], ...]:
    """SQL: a row of `gone` is this job's, and about this library, or about a video that was deleted meanwhile."""
    if library_id is None:
        return (gone.c.job_id == job_id,)
    elsewhere = exists().where(videos.c.pk == gone.c.video_pk, videos.c.library_id != library_id)
    return (gone.c.job_id == job_id, ~elsewhere)


def mark_missing(connection: Connection, job_id: str, library_id: str | None = None, *, dry_run: bool = False) -> int:
    """Mark some of what is gone, in one library or in all, as missing since now; gives how many, 0 at the end."""
    now = now_us()
    query = select(gone.c.video_pk, gone.c.reason).where(*_of(job_id, library_id)).limit(ROWS_A_STEP)
    reasons = {row.video_pk: row.reason for row in connection.execute(query)}
    pks = list(reasons)
    if not pks:
        return 0
    columns = (videos.c.pk, videos.c.id, videos.c.path_bytes, videos.c.folder_pk)
    rows = connection.execute(select(*columns).where(videos.c.pk.in_(pks), videos.c.state != "missing")).all()
    if not dry_run and rows:
        values = {"state": "missing", "missing_since": now, "updated_at": now}
        connection.execute(update(videos).where(videos.c.pk.in_([row.pk for row in rows])).values(values))
        # Another scan may have seen them meanwhile; the next one is to look, and not to trust its digest.
        places = {row.folder_pk for row in rows}
        connection.execute(update(folders).where(folders.c.pk.in_(places)).values(digest=None))
        changes.append(connection, [("missing", row.id, row.path_bytes, "missing") for row in rows], now)
    entries = [
        (
            row.folder_pk,
            LedgerRow(
                path_bytes=row.path_bytes,
                outcome=Outcome.MISSING,
                at=now,
                code="IGNORED" if reasons[row.pk] else "GONE",
                reason=reasons[row.pk] or "The file is no longer there.",
                video_id=row.id,
            ),
        )
        for row in rows
    ]
    ledger.record(connection, job_id, entries)
    connection.execute(delete(gone).where(gone.c.job_id == job_id, gone.c.video_pk.in_(pks)))
    return len(pks)
