"""Libraries: the folders that are kept catalogued."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from stoat_ferret.api.dependencies import LibraryDep, not_modified, refuse_unknown_parameters
from stoat_ferret.api.problems import responses
from stoat_ferret.api.schemas.library import LibraryListResponse, LibraryResponse

router = APIRouter(prefix="/libraries", tags=["libraries"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="List libraries", responses=responses(422))
def list_libraries(library: LibraryDep) -> LibraryListResponse:
    """Give every library, by path. Scanning a folder that none covers makes one of it."""
    return LibraryListResponse(libraries=[LibraryResponse.of(found) for found in library.libraries()])


@router.get("/{library_id}", summary="Show a library", response_model=LibraryResponse, responses=responses(404, 422))
def get_library(
    request: Request,
    response: Response,
    library_id: Annotated[str, Path(description="The library's id.")],
    library: LibraryDep,
) -> object:
    """Give one library."""
    shown = LibraryResponse.of(library.library(library_id))
    etag = hashlib.blake2b(shown.model_dump_json().encode(), digest_size=12).hexdigest()
    return not_modified(request, response, etag) or shown
