"""Jobs as the API shows them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stoat_ferret import paths
from stoat_ferret.api.schemas.times import from_microseconds, from_microseconds_or_none
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.library.models import LedgerRow, Outcome

JOB_ID = "01934f5e-7b1c-7cc2-a1c4-6f0b8d0d9f11"


class JobSubmitResponse(BaseModel):
    """The job that does what was asked."""

    model_config = ConfigDict(json_schema_extra={"example": {"job_id": JOB_ID}})

    job_id: str = Field(description="Ask `GET /api/v1/jobs/{job_id}` how it goes.")


class ProgressDetail(BaseModel):
    """How far a running job is."""

    phase: str = Field(description="What it is doing: for a scan `walk`, `probe`, then `settle`.", examples=["probe"])
    done: int = Field(examples=[4200])
    total: int | None = Field(description="Null while it is not known.", examples=[10000])
    unit: str = Field(examples=["files"])
    rate: float | None = Field(description="Units per second, of late.", examples=[812.5])
    eta_seconds: float | None = Field(description="Time to go at that rate.", examples=[7.1])
    current: str | None = Field(examples=["Holidays/2024/IMG_0042.MOV"])


class JobStatusResponse(BaseModel):
    """A job's record."""

    job_id: str = Field(examples=[JOB_ID])
    type: str = Field(examples=["scan"])
    status: JobStatus = Field(
        description="`pending`, `running`, then `complete`, `failed`, `timeout` or `cancelled`, which never change."
    )
    progress: float | None = Field(
        description="0.0 to 1.0; null while not known. Never goes back within an attempt; 1.0 only when complete.",
        examples=[0.42],
    )
    progress_detail: ProgressDetail | None = Field(
        description="Null before there is any, and once the job is complete; if it ended otherwise, where it stood."
    )
    result: dict[str, Any] | None = Field(
        description="Set when complete; of a cancelled or failed scan, what was done until then.",
        examples=[
            {
                "scanned": 26,
                "new": 24,
                "updated": 0,
                "moved": 0,
                "restored": 0,
                "unchanged": 0,
                "missing": 0,
                "skipped": 1,
                "failed": 2,
                "errors": [{"path": "/videos/cut.mp4", "error": "The file is cut off …"}],
                "left_out": [{"path": "/videos/memo.mp4", "reason": "The file holds no picture stream …"}],
                "bytes_read": 5312331,
                "duration_seconds": 0.61,
            }
        ],
    )
    error: str | None = Field(description="Why it failed, in a sentence.")
    error_code: str | None = Field(description="Why it failed, as a stable word.", examples=["LIBRARY_OFFLINE"])
    attempt: int = Field(description="How often a worker has taken it up.", examples=[1])
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    retry_of: str | None = Field(None, description="The job that this one does again.")
    parent_id: str | None = Field(None, description="The job that this one is a part of.")
    payload: dict[str, Any] = Field(description="What was asked for.")

    @classmethod
    def of(cls, job: Job) -> "JobStatusResponse":
        """Show a job's record."""
        # Of a complete job, the last thing that it happened to count says nothing: the result does.
        detail = None if job.status is JobStatus.COMPLETE else job.progress_detail
        return cls(
            job_id=job.id,
            type=job.type,
            status=job.status,
            progress=job.progress,
            progress_detail=None if detail is None else ProgressDetail(**detail),
            result=job.result,
            error=job.error,
            error_code=job.error_code,
            attempt=job.attempt,
            created_at=from_microseconds(job.created_at),
            started_at=from_microseconds_or_none(job.started_at),
            finished_at=from_microseconds_or_none(job.finished_at),
            cancel_requested=job.cancel_requested,
            retry_of=job.retry_of,
            parent_id=job.parent_id,
            payload=job.payload,
        )


class JobListResponse(BaseModel):
    """Some jobs, newest first."""

    jobs: list[JobStatusResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the rest; null at the end.")
    total: int = Field(description="All matches, not only this page; exact up to 10,000.", examples=[128])
    total_is_lower_bound: bool = Field(False, description="True where counting stopped at `total`.")


class LedgerEntry(BaseModel):
    """What a job did to one path."""

    path: str = Field(examples=["/videos/cut.mp4"])
    path_bytes: str | None = Field(None, description="The exact path in base64, where it is not valid UTF-8.")
    outcome: Outcome
    count: int = Field(description="1; of unchanged files there is one entry a folder, with their number.")
    reason: str | None = Field(examples=["The file is cut off: its index (moov) is missing."])
    code: str | None = Field(examples=["INCOMPLETE_FILE"])
    video_id: str | None
    from_path: str | None = Field(None, description="Where a file that was moved was before.")
    at: datetime

    @classmethod
    def of(cls, row: LedgerRow) -> "LedgerEntry":
        """Show a row of the ledger."""
        return cls(
            path=paths.display(row.path_bytes),
            path_bytes=paths.exact_if_needed(row.path_bytes),
            outcome=row.outcome,
            count=row.count,
            reason=row.reason,
            code=row.code,
            video_id=row.video_id,
            from_path=None if row.from_path_bytes is None else paths.display(row.from_path_bytes),
            at=from_microseconds(row.at),
        )


class LedgerResponse(BaseModel):
    """Some of what a job did, by path."""

    files: list[LedgerEntry]
    next_cursor: str | None = Field(description="Give it as `cursor` for the rest; null at the end.")
