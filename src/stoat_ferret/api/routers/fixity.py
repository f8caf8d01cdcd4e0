"""Whole contents: have them read, list what is damaged, take the hashes along."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from stoat_ferret import cursors, paths
from stoat_ferret.api.dependencies import (
    CursorParam,
    JobsDep,
    LibraryDep,
    LimitParam,
    SettingsDep,
    link_next,
    refuse_unknown_parameters,
)
from stoat_ferret.api.problems import reading, writing
from stoat_ferret.api.routers.videos import VideoIdPath
from stoat_ferret.api.schemas.job import JobSubmitResponse
from stoat_ferret.api.schemas.verify import DamagedListResponse, DamagedResponse, VerifyRequest
from stoat_ferret.api.services.verify import prepare_verify
from stoat_ferret.api.submission import ENDED, SUBMITTED, SubmittingDep
from stoat_ferret.errors import InvalidCursorError, InvalidPathError, NotDamagedError
from stoat_ferret.jobs.model import OnceKey, Submission
from stoat_ferret.library import fixity

router = APIRouter(prefix="/videos", tags=["fixity"], dependencies=[Depends(refuse_unknown_parameters)])

MANIFEST_TYPE = "text/plain"


@router.post(
    "/verify",
    status_code=202,
    summary="Read whole contents",
    response_model=JobSubmitResponse,
    responses={**writing(400, 404, 422), 200: ENDED, 202: SUBMITTED},
)
async def verify(
    jobs: JobsDep,
    library: LibraryDep,
    settings: SettingsDep,
    submitting: SubmittingDep,
    body: VerifyRequest | None = None,
) -> object:
    """Put a job on the queue that hashes whole files, and holds those that were hashed before against that.

    A file whose content is another, though its size and time are the same, is damaged: the job's ledger says so (code
    `DAMAGED`), and so does `GET /videos/damaged`, until it reads right again, is changed, or its content is accepted.
    """
    wanted = body or VerifyRequest()

    async def submit(once: OnceKey | None) -> Submission:
        return await jobs.submit(await prepare_verify(wanted.options(), settings, library), once)

    job, answer = await submitting("POST /videos/verify", wanted.model_dump(), submit)
    return answer or JobSubmitResponse(job_id=job.id)


@router.get("/damaged", summary="Videos that are damaged", responses=reading(400, 422))
def list_damaged(
    request: Request, response: Response, library: LibraryDep, cursor: CursorParam = None, limit: LimitParam = 50
) -> DamagedListResponse:
    """Give the videos whose content is not what it was when it was first hashed, though nobody has changed them."""
    try:
        after = bytes.fromhex(cursors.decode(cursor, ["damaged"])[0]) if cursor else b""
    except (ValueError, TypeError, IndexError) as error:
        raise InvalidCursorError from error
    found = fixity.damaged(library.database, after, limit + 1)
    following = cursors.encode(["damaged"], [found[limit - 1].path_bytes.hex()]) if len(found) > limit else None
    link_next(request, response, following)
    return DamagedListResponse(videos=[DamagedResponse.of(each) for each in found[:limit]], next_cursor=following)


@router.get(
    "/manifest",
    summary="Hashes as a file",
    response_class=StreamingResponse,
    responses={
        **reading(400, 422),
        200: {
            "content": {MANIFEST_TYPE: {"schema": {"type": "string"}}},
            "description": "A line a file: BLAKE3 in hexadecimal, two spaces, the path as seen from the folder.",
            "headers": {
                "X-Stoat-Without-Checksum": {
                    "description": "How many videos of the folder are left out, as they were not hashed yet.",
                    "schema": {"type": "integer"},
                }
            },
        },
    },
)
def get_manifest(
    library: LibraryDep,
    path: Annotated[str | None, Query(description="An absolute folder of a library.")] = None,
    path_bytes: Annotated[str | None, Query(description="The same in base64.")] = None,
) -> StreamingResponse:
    """Give the hashes of all videos below a folder, as `b3sum --check` reads them there; names are exact bytes."""
    if (path is None) == (path_bytes is None):
        raise InvalidPathError("Give either path or path_bytes.")
    folder = paths.absolute(paths.decode_base64(path_bytes or "") if path is None else paths.encoded(path))
    if library.covering_library(folder) is None:
        raise InvalidPathError(f"{paths.display(folder)} lies in no library.")
    without = fixity.count_unhashed(library.database, folder)
    lines: Iterator[bytes] = fixity.manifest(library.database, folder)
    return StreamingResponse(
        lines, media_type=MANIFEST_TYPE, headers={"X-Stoat-Without-Checksum": str(without), "Cache-Control": "no-cache"}
    )


@router.post(
    "/{video_id}/accept-content",
    status_code=204,
    summary="Accept a changed content",
    responses=writing(404, 409, 422),
)
def accept_content(video_id: VideoIdPath, library: LibraryDep) -> None:
    """Take the content that a damaged video was found to have for the right one from now on."""
    library.video(video_id)
    if not fixity.accept(library.database, video_id):
        raise NotDamagedError(f"The video {video_id} is not damaged: there is nothing to accept.")
