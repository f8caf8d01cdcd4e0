"""Jobs: read, list, wait, cancel, and what each did to which file."""

from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from stoat_ferret.api.dependencies import (
    CursorParam,
    JobsDep,
    LibraryDep,
    LimitParam,
    link_next,
    not_modified,
    refuse_unknown_parameters,
)
from stoat_ferret.api.problems import responses
from stoat_ferret.api.schemas.job import JobListResponse, JobStatusResponse, LedgerEntry, LedgerResponse
from stoat_ferret.errors import JobNotFoundError
from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.library import ledger
from stoat_ferret.library.models import LedgerRow, Outcome

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(refuse_unknown_parameters)])


async def canonical_job_id(job_id: Annotated[str, Path(description="The id that the submit answered with.")]) -> str:
    """Give the id as it is stored.

    Raises:
        JobNotFoundError: it is not a UUID, so there cannot be such a job.
    """
    try:
        return str(UUID(job_id))
    except ValueError as error:
        raise JobNotFoundError(f"There is no job with the id {job_id[:100]!r}: it is not a UUID.") from error


JobIdPath = Annotated[str, Depends(canonical_job_id)]


@router.get("", summary="List jobs, newest first", responses=responses(400, 422))
async def list_jobs(
    request: Request,
    response: Response,
    jobs: JobsDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs that stand so.")] = None,
    job_type: Annotated[str | None, Query(alias="type", description="Only jobs of this type.")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> JobListResponse:
    """Give jobs, newest first, with their whole records."""
    page = await jobs.list(status=status, job_type=job_type, cursor=cursor, limit=limit)
    link_next(request, response, page.next_cursor)
    return JobListResponse(jobs=[JobStatusResponse.of(job) for job in page.jobs], next_cursor=page.next_cursor)


@router.get("/{job_id}", summary="How a job goes", response_model=JobStatusResponse, responses=responses(404, 422))
async def get_job(request: Request, response: Response, job_id: JobIdPath, jobs: JobsDep) -> object:
    """Give a job's status, its progress and, once it is complete, its result. A failed job is a 200 that says why."""
    job = await jobs.get(job_id)
    return not_modified(request, response, str(job.revision)) or JobStatusResponse.of(job)


@router.get("/{job_id}/wait", summary="Wait for a job's end", responses=responses(404, 422))
async def wait_for_job(
    job_id: JobIdPath,
    jobs: JobsDep,
    timeout: Annotated[float, Query(ge=0, le=60, description="Seconds to wait at most.")] = 30.0,  # noqa: ASYNC109
) -> JobStatusResponse:
    """Answer when the job has ended, or with its state as it is when the time is over: 200 either way."""
    return JobStatusResponse.of(await jobs.wait(job_id, timeout))


@router.post("/{job_id}/cancel", status_code=202, summary="Cancel a job", responses=responses(404, 409, 422))
async def cancel_job(job_id: JobIdPath, jobs: JobsDep) -> JobStatusResponse:
    """Ask for a job's end. A pending one ends at once; a running one keeps what it has done and ends soon."""
    return JobStatusResponse.of(await jobs.cancel(job_id))


@router.get("/{job_id}/files", summary="What a job did to each file", responses=responses(400, 404, 422))
async def list_job_files(
    request: Request,
    response: Response,
    job_id: JobIdPath,
    jobs: JobsDep,
    library: LibraryDep,
    outcome: Annotated[Outcome | None, Query(description="Only files with this outcome.")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> LedgerResponse:
    """Give the job's ledger by path. Unchanged files are counted, one entry a folder."""
    await jobs.get(job_id)

    def read() -> tuple[list[LedgerRow], str | None]:
        return ledger.page(library.database, job_id, outcome=outcome, cursor=cursor, limit=limit)

    rows, following = await to_thread.run_sync(read)
    link_next(request, response, following)
    return LedgerResponse(files=[LedgerEntry.of(row) for row in rows], next_cursor=following)
