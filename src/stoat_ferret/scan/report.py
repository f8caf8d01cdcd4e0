"""What a scan says when it ends: numbers that can all be derived again from the ledger."""

from dataclasses import dataclass
from typing import Any

from stoat_ferret import paths
from stoat_ferret.db.engine import Database
from stoat_ferret.library import ledger
from stoat_ferret.library.models import Outcome

ERRORS_SHOWN = 100
SCANNED = (Outcome.NEW, Outcome.UPDATED, Outcome.MOVED, Outcome.RESTORED, Outcome.UNCHANGED, Outcome.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanReport:
    """Counts by outcome, the first failures, the first that was left out with the reasons, and the cost."""

    counts: dict[Outcome, int]
    errors: list[dict[str, str]]
    left_out: list[dict[str, str]]
    bytes_read: int
    duration_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Give it as the job's result."""
        scanned = sum(self.counts[outcome] for outcome in SCANNED)
        return {
            "scanned": scanned,
            **{outcome.value: self.counts[outcome] for outcome in Outcome},
            "errors": self.errors,
            "left_out": self.left_out,
            "bytes_read": self.bytes_read,
            "duration_seconds": round(self.duration_seconds, 3),
        }


def read_report(database: Database, job_id: str) -> ScanReport:
    """Build the report of a job from what it has stored so far."""
    bytes_read, seconds = ledger.costs(database, job_id)
    return ScanReport(
        counts=ledger.totals(database, job_id),
        errors=[
            {"path": paths.display(row.path_bytes), "error": row.reason or row.code or "unknown"}
            for row in ledger.first_with(database, job_id, Outcome.FAILED, ERRORS_SHOWN)
        ],
        left_out=[
            {"path": paths.display(row.path_bytes), "reason": row.reason or row.code or "unknown"}
            for row in ledger.first_with(database, job_id, Outcome.SKIPPED, ERRORS_SHOWN)
        ],
        bytes_read=bytes_read,
        duration_seconds=seconds,
    )
