"""Libraries: the folders that are kept catalogued."""

import hashlib
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response

from stoat_ferret.api.dependencies import (
    JobsDep,
    LibraryDep,
    RuntimeDep,
    SettingsDep,
    not_modified,
    refuse_unknown_parameters,
)
from stoat_ferret.api.problems import reading, writing
from stoat_ferret.api.schemas.job import JobSubmitResponse
from stoat_ferret.api.schemas.library import (
    LibraryCreate,
    LibraryListResponse,
    LibraryPatch,
    LibraryResponse,
    PurgeRequest,
)
from stoat_ferret.api.schemas.scan import LibraryScanRequest
from stoat_ferret.api.services.libraries import make, purge_request, remove
from stoat_ferret.api.services.scan import prepare_scan
from stoat_ferret.api.submission import ENDED, SUBMITTED, SubmittingDep
from stoat_ferret.jobs import cron
from stoat_ferret.jobs.model import OnceKey, Submission

LibraryIdPath = Annotated[str, Path(description="The library's id, as the list gives it.")]

router = APIRouter(prefix="/libraries", tags=["libraries"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="List libraries", responses=reading(422))
def list_libraries(library: LibraryDep) -> LibraryListResponse:
    """Give every library, by path. Scanning a folder that none covers makes one of it."""
    return LibraryListResponse(libraries=[LibraryResponse.of(found) for found in library.libraries()])


@router.post(
    "", status_code=201, summary="Make a library", response_model=LibraryResponse, responses=writing(400, 403, 409, 422)
)
async def create_library(
    body: LibraryCreate,
    response: Response,
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    runtime: RuntimeDep,
) -> object:
    """Keep a folder catalogued from now on; nothing is scanned yet.

    Inside another library it takes over what that one knows there: the innermost library owns a file. 409
    `LIBRARY_BUSY` while a scan goes on there.
    """
    given = body.given()
    if given.get("schedule") is not None:
        cron.check(given["schedule"])
    shown = LibraryResponse.of(await make(body.folder(), given, settings, jobs, library))
    if "schedule" in given:
        await runtime.scheduler().align()
    response.headers["Location"] = f"/api/v1/libraries/{shown.id}"
    response.headers["ETag"] = f'"{_etag(shown)}"'
    return shown


@router.delete("/{library_id}", status_code=204, summary="Forget a library", responses=writing(404, 409, 422))
async def delete_library(library_id: LibraryIdPath, jobs: JobsDep, library: LibraryDep, runtime: RuntimeDep) -> None:
    """Forget the library with all its entries; no file is touched. 409 `LIBRARY_BUSY` while a scan of it goes on."""
    await remove(library_id, jobs, library)
    await runtime.scheduler().align()


@router.post(
    "/{library_id}/purge",
    status_code=202,
    summary="Forget what is missing",
    response_model=JobSubmitResponse,
    responses={**writing(404, 422), 200: ENDED, 202: SUBMITTED},
)
async def purge_library(
    library_id: LibraryIdPath,
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    submitting: SubmittingDep,
    body: PurgeRequest | None = None,
) -> object:
    """Put a job on the queue that forgets entries which are missing for so long; none of a library that is offline."""
    wanted = body or PurgeRequest()

    async def submit(once: OnceKey | None) -> Submission:
        found = await to_thread.run_sync(library.library, library_id)
        return await jobs.submit(purge_request(found, wanted.older_than_days, settings), once)

    asked = {"library_id": library_id, **wanted.model_dump()}
    job, answer = await submitting("POST /libraries/{library_id}/purge", asked, submit)
    return answer or JobSubmitResponse(job_id=job.id)


@router.get("/{library_id}", summary="Show a library", response_model=LibraryResponse, responses=reading(404, 422))
def get_library(request: Request, response: Response, library_id: LibraryIdPath, library: LibraryDep) -> object:
    """Give one library."""
    shown = LibraryResponse.of(library.library(library_id))
    return not_modified(request, response, _etag(shown)) or shown


@router.patch(
    "/{library_id}",
    summary="Set a library's name, limits, rules and schedule",
    responses=writing(400, 404, 422),
    openapi_extra={
        "requestBody": {
            "content": {"application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/LibraryPatch"}}}
        }
    },
)
async def patch_library(
    library_id: LibraryIdPath, body: LibraryPatch, response: Response, library: LibraryDep, runtime: RuntimeDep
) -> LibraryResponse:
    """Merge what is given into the library, and give it as it then is.

    A schedule that cron would not understand is 400 `INVALID_SCHEDULE`.
    """
    given = body.given()
    if given.get("schedule") is not None:
        cron.check(given["schedule"])
    shown = LibraryResponse.of(await to_thread.run_sync(lambda: library.update_library(library_id, **given)))
    if "schedule" in given:
        await runtime.scheduler().align()  # the workers look twice a minute; a line may be due before that
    response.headers["ETag"] = f'"{_etag(shown)}"'
    return shown


@router.post(
    "/{library_id}/scan",
    status_code=202,
    summary="Scan a library",
    response_model=JobSubmitResponse,
    responses={**writing(400, 403, 404, 422), 200: ENDED, 202: SUBMITTED},
)
async def scan_library(
    library_id: LibraryIdPath,
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    submitting: SubmittingDep,
    body: LibraryScanRequest | None = None,
) -> object:
    """Put a scan of the whole library on the queue, as `POST /api/v1/videos/scan` with its path does."""
    wanted = body or LibraryScanRequest()

    async def submit(once: OnceKey | None) -> Submission:
        found = await to_thread.run_sync(library.library, library_id)
        return await jobs.submit(await prepare_scan(wanted.options(found.path_bytes), settings, library), once)

    asked = {"library_id": library_id, **wanted.model_dump()}
    job, answer = await submitting("POST /libraries/{library_id}/scan", asked, submit)
    return answer or JobSubmitResponse(job_id=job.id)


def _etag(shown: LibraryResponse) -> str:
    return hashlib.blake2b(shown.model_dump_json().encode(), digest_size=12).hexdigest()
