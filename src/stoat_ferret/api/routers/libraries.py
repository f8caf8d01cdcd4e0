"""Libraries: the folders that are kept catalogued."""

from fastapi import APIRouter, Depends

from stoat_ferret.api.dependencies import LibraryDep, refuse_unknown_parameters
from stoat_ferret.api.problems import responses
from stoat_ferret.api.schemas.library import LibraryListResponse, LibraryResponse

router = APIRouter(prefix="/libraries", tags=["libraries"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="List libraries", responses=responses(422))
def list_libraries(library: LibraryDep) -> LibraryListResponse:
    """Give every library, by path. Scanning a folder that none covers makes one of it."""
    return LibraryListResponse(libraries=[LibraryResponse.of(found) for found in library.libraries()])


@router.get("/{library_id}", summary="Show a library", responses=responses(404))
def get_library(library_id: str, library: LibraryDep) -> LibraryResponse:
    """Give one library."""
    return LibraryResponse.of(library.library(library_id))
