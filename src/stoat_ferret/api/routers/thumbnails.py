"""Pictures made ahead."""

from fastapi import APIRouter, Depends

from stoat_ferret.api.dependencies import JobsDep, LibraryDep, SettingsDep, refuse_unknown_parameters
from stoat_ferret.api.problems import writing
from stoat_ferret.api.schemas.job import JobSubmitResponse
from stoat_ferret.api.schemas.thumbnails import ThumbnailsRequest
from stoat_ferret.api.services.thumbnails import prepare_thumbnails
from stoat_ferret.api.submission import ENDED, SUBMITTED, SubmittingDep
from stoat_ferret.jobs.model import OnceKey, Submission

router = APIRouter(prefix="/videos", tags=["videos"], dependencies=[Depends(refuse_unknown_parameters)])


@router.post(
    "/thumbnails",
    status_code=202,
    summary="Make pictures ahead",
    response_model=JobSubmitResponse,
    responses={**writing(400, 422), 200: ENDED, 202: SUBMITTED},
)
async def make_thumbnails(
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    submitting: SubmittingDep,
    body: ThumbnailsRequest | None = None,
) -> object:
    """Put a job on the queue that makes the pictures which lists show, of every video that has none yet.

    Scans go first: the job gives way to them, and goes on where it was. Its result counts what was `made`, what was
    `present` already, files `without_picture` and those that `failed`, with the first reasons as `errors`; its ledger
    has them all. A file that has no picture is not tried again until it changes, unless `retry` says so.
    """
    wanted = body or ThumbnailsRequest()

    async def submit(once: OnceKey | None) -> Submission:
        return await jobs.submit(await prepare_thumbnails(wanted.options(), settings, library), once)

    job, answer = await submitting("POST /videos/thumbnails", wanted.model_dump(), submit)
    return answer or JobSubmitResponse(job_id=job.id)
