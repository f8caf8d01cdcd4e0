"""Jobs: read, list, wait, cancel, retry, delete, and what each did to which file."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from stoat_ferret.api.dependencies import (
    CursorParam,
    FeedDep,
    JobIdPath,
    JobsDep,
    LibraryDep,
    LimitParam,
    SettingsDep,
    link_next,
    not_modified,
    refuse_unknown_parameters,
)
from stoat_ferret.api.ledger_stream import NDJSON, stream_ledger
from stoat_ferret.api.negotiation import prefers
from stoat_ferret.api.problems import reading, writing
from stoat_ferret.api.schemas.job import JobListResponse, JobStatusResponse, LedgerEntry, LedgerResponse
from stoat_ferret.api.services.again import request_anew
from stoat_ferret.api.services.deletion import delete_job
from stoat_ferret.api.submission import ENDED, SUBMITTED, SubmittingDep
from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.library import ledger
from stoat_ferret.library.models import LedgerRow, Outcome

LEDGER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One page, or all of it, a line each, where `Accept` prefers application/x-ndjson.",
        "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/LedgerEntry"}}},
        "headers": {"Vary": {"description": "Accept", "schema": {"type": "string"}}},
    }
}

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="List jobs, newest first", responses=reading(400, 422))
async def list_jobs(
    request: Request,
    response: Response,
    jobs: JobsDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs that stand so.")] = None,
    job_type: Annotated[str | None, Query(alias="type", description="Only jobs of this type.")] = None,
    parent: Annotated[UUID | None, Query(description="The parts of this job instead of whole jobs.")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> JobListResponse:
    """Give jobs, newest first, with their whole records; those that are parts of others only where `parent` asks."""
    parent_id = None if parent is None else str(parent)
    page = await jobs.list(status=status, job_type=job_type, parent_id=parent_id, cursor=cursor, limit=limit)
    total, bounded = await jobs.count_listed(status=status, job_type=job_type, parent_id=parent_id)
    link_next(request, response, page.next_cursor)
    return JobListResponse(
        jobs=[JobStatusResponse.of(job) for job in page.jobs],
        next_cursor=page.next_cursor,
        total=total,
        total_is_lower_bound=bounded,
    )


@router.get("/{job_id}", summary="How a job goes", response_model=JobStatusResponse, responses=reading(404, 422))
async def get_job(request: Request, response: Response, job_id: JobIdPath, jobs: JobsDep) -> object:
    """Give a job's status, its progress and, once it is complete, its result. A failed job is a 200 that says why."""
    job = await jobs.get(job_id)
    return not_modified(request, response, str(job.revision)) or JobStatusResponse.of(job)


@router.delete("/{job_id}", status_code=204, summary="Forget a job", responses=writing(404, 409, 422))
async def forget_job(job_id: JobIdPath, jobs: JobsDep, library: LibraryDep) -> None:
    """Delete the record of a job that has ended, those of its parts, and its ledger. Videos are not touched."""
    await delete_job(jobs, library.database, job_id)


@router.get("/{job_id}/wait", summary="Wait for a job's end", responses=reading(404, 422))
async def wait_for_job(
    job_id: JobIdPath,
    feed: FeedDep,
    timeout: Annotated[float, Query(ge=0, le=60, description="Seconds to wait at most.")] = 30.0,  # noqa: ASYNC109
) -> JobStatusResponse:
    """Answer when the job has ended, or with its state as it is when the time is over: 200 either way."""
    return JobStatusResponse.of(await feed.wait(job_id, timeout))


@router.post("/{job_id}/cancel", status_code=202, summary="Cancel a job", responses=writing(404, 409, 422))
async def cancel_job(job_id: JobIdPath, jobs: JobsDep) -> JobStatusResponse:
    """Ask for a job's end. A pending one ends at once; a running one keeps what it has done and ends soon."""
    return JobStatusResponse.of(await jobs.cancel(job_id))


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Do a job again",
    response_model=JobStatusResponse,
    responses={**writing(400, 403, 404, 409, 422), 200: ENDED, 202: SUBMITTED},
)
async def retry_job(
    job_id: JobIdPath, jobs: JobsDep, library: LibraryDep, settings: SettingsDep, submitting: SubmittingDep
) -> object:
    """Put a job that failed, timed out or was cancelled on the queue once more, as a new one that names `retry_of`.

    It is asked for anew, under the settings of now: a scan whose folder would be refused now is refused here too.
    Where an equal job is pending already, that one is joined instead.
    """
    anew = partial(request_anew, settings=settings, repository=library)
    job, answer = await submitting(
        "POST /jobs/{job_id}/retry", {"job_id": job_id}, lambda once: jobs.retry(job_id, anew, once)
    )
    return answer or JobStatusResponse.of(job)


@router.get(
    "/{job_id}/files",
    summary="What a job did to each file",
    response_model=LedgerResponse,
    responses={**reading(400, 404, 422), **LEDGER},
)
async def list_job_files(
    request: Request,
    response: Response,
    job_id: JobIdPath,
    jobs: JobsDep,
    library: LibraryDep,
    outcome: Annotated[Outcome | None, Query(description="Only files with this outcome.")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> object:
    """Give the job's ledger by path. Unchanged files are counted, one entry a folder.

    With `Accept: application/x-ndjson` all of it is streamed, one entry a line, from `cursor` on if there is one;
    `limit` then means nothing. An answer that breaks off has no proper end, which clients report as an error.
    """
    await jobs.get(job_id)
    if prefers(request.headers.get("accept"), NDJSON, "application/json"):
        lines = await stream_ledger(library.database, job_id, outcome, cursor)
        return StreamingResponse(lines, media_type=NDJSON, headers={"Vary": "Accept"})

    def read() -> tuple[list[LedgerRow], str | None]:
        return ledger.page(library.database, job_id, outcome=outcome, cursor=cursor, limit=limit)

    rows, following = await to_thread.run_sync(read)
    response.headers["Vary"] = "Accept"
    link_next(request, response, following)
    return LedgerResponse(files=[LedgerEntry.of(row) for row in rows], next_cursor=following)
