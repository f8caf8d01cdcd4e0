"""Rows of the catalogue -> what is known of a file, for whoever holds a listing against that."""

from typing import Any

from sqlalchemy import Row

from stoat_ferret.db.tables import videos
from stoat_ferret.library.models import QUARANTINED, FileKey, KnownFile, Outcome
from stoat_ferret.media.info import PROBE_VERSION

KNOWN_COLUMNS = [
    videos.c[name]
    for name in "path_bytes size mtime_ns inode device birth_ns pk id state".split()
    + "probe_error probe_error_code probe_version".split()
]


def _key_from_row(row: Row[*tuple[Any, ...]]) -> FileKey:
    return FileKey(row.size, row.mtime_ns, row.inode, row.device)


def known_reject(row: Row[*tuple[Any, ...]]) -> KnownFile:
    """Build what is known of a file that is no usable video from its row of `rejects`."""
    return KnownFile(
        path=row.path_bytes,
        key=_key_from_row(row),
        outdated=_is_outdated(row, row.code),
        reject_outcome=Outcome(row.outcome),
        code=row.code,
        reason=row.reason,
    )


def known_video(row: Row[*tuple[Any, ...]]) -> KnownFile:
    """Build what is known of a video's file from a row that has KNOWN_COLUMNS."""
    broken = row.probe_error is not None  # also while it is missing
    return KnownFile(
        path=row.path_bytes,
        key=_key_from_row(row),
        video_pk=row.pk,
        video_id=row.id,
        state=row.state,
        birth_ns=row.birth_ns,
        outdated=_is_outdated(row, row.probe_error_code),
        reject_outcome=Outcome.FAILED if broken else None,
        code=row.probe_error_code,
        reason=row.probe_error,
    )


def _is_outdated(row: Row[*tuple[Any, ...]], code: str | None) -> bool:
    """Tell whether another look would say more. What was set aside for what it did to a probe waits to be asked for."""
    return row.probe_version < PROBE_VERSION and code not in QUARANTINED
