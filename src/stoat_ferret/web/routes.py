"""The pages: the library, a video, the API's reference; and what they are made with."""

from typing import Annotated
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse

from stoat_ferret import paths
from stoat_ferret.api.dependencies import JobsDep, LibraryDep, not_modified
from stoat_ferret.errors import InvalidQueryError
from stoat_ferret.library.history import former_places_of
from stoat_ferret.library.models import Library, Page
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.library.search import DEFAULT_SORT, find
from stoat_ferret.web import error_pages
from stoat_ferret.web.activity import read_activity
from stoat_ferret.web.assets import assets
from stoat_ferret.web.reference import build_reference
from stoat_ferret.web.render import SECURITY, render

PAGE_SIZE = 48
"""Fills whole rows of 2, 3, 4, 6 and 8."""

SORTS = {
    "-added": "Newest first",
    "added": "Oldest first",
    "-modified": "Latest change first",
    "modified": "Earliest change first",
    "name": "Name, A to Z",
    "-name": "Name, Z to A",
    "-duration": "Longest first",
    "duration": "Shortest first",
    "-size": "Largest first",
    "size": "Smallest first",
}
KEPT_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    """Add the pages to the application; after its error handlers, which the error pages build on."""
    error_pages.register(app)
    app.include_router(router)


@router.get("/")
async def index(
    jobs: JobsDep,
    library: LibraryDep,
    q: Annotated[str, Query()] = "",
    sort: Annotated[str, Query()] = DEFAULT_SORT,
    cursor: Annotated[str | None, Query()] = None,
) -> HTMLResponse:
    """Show the library: folders, jobs, and one page of the videos."""
    query = q.strip()
    libraries, page, error = await to_thread.run_sync(_catalogue, library, query, sort, cursor)
    following = None
    if page is not None and page.next_cursor is not None:
        following = _address(query, sort, page.next_cursor)
    return render(
        "library.html",
        status=200 if error is None else 400,
        activity=await read_activity(jobs),
        libraries=libraries,
        page=page,
        error=error,
        query=query,
        sort=sort,
        sorts=SORTS,
        first_address=_address(query, sort if error is None else DEFAULT_SORT),
        next_address=following,
        is_first=cursor is None,
        exact=paths.encode_base64,
    )


def _catalogue(
    library: LibraryRepository, query: str, sort: str, cursor: str | None
) -> tuple[list[Library], Page | None, str | None]:
    libraries = library.libraries()
    try:
        page = find(library.database, query=query or None, sort=sort, cursor=cursor, limit=PAGE_SIZE)
    except InvalidQueryError as error:
        return libraries, None, error.message
    return libraries, page, None


def _address(query: str, sort: str, cursor: str | None = None) -> str:
    given = {"q": query, "sort": "" if sort == DEFAULT_SORT else sort, "cursor": cursor or ""}
    kept = urlencode({name: value for name, value in given.items() if value})
    return f"/?{kept}" if kept else "/"


@router.get("/fragments/jobs")
async def jobs_fragment(jobs: JobsDep) -> HTMLResponse:
    """Show what goes on, as the part of the library page that its script keeps up to date."""
    return render("jobs.html", activity=await read_activity(jobs))


@router.get("/videos/{video_id}")
def video(video_id: str, library: LibraryDep) -> HTMLResponse:
    """Show all that is known of a video."""
    detail = library.video_detail(video_id)
    home = library.library(detail.video.library_id)
    exact = paths.exact_if_needed(detail.video.path_bytes)
    shown = paths.display(detail.video.path_bytes)
    places = former_places_of(library.database, video_id)
    return render(
        "video.html",
        video=detail.video,
        detail=detail,
        library=home,
        places=places,
        shown_path=shown,
        exact_path=exact,
    )


@router.get("/docs")
def reference(request: Request) -> HTMLResponse:
    """Show the API's reference, made from its OpenAPI document."""
    base_url = str(request.base_url).rstrip("/")
    return render("reference.html", reference=build_reference(request.app.openapi(), base_url), base_url=base_url)


@router.get("/static/{name}")
def static(request: Request, name: str, v: str | None = None) -> Response:
    """Give an asset; for ever where its address names the version that it has."""
    asset = assets().get(name)
    if asset is None:
        raise HTTPException(404)
    headers = {**SECURITY, "Cache-Control": KEPT_FOR_EVER if v == asset.version else "no-cache"}
    response = Response(asset.data, media_type=asset.media_type, headers=headers)
    unchanged = not_modified(request, response, asset.version)
    if unchanged is not None:
        unchanged.headers["Cache-Control"] = headers["Cache-Control"]
    return unchanged or response


@router.get("/favicon.ico")
def favicon(request: Request) -> Response:
    """Give the icon to browsers that ask for it unasked."""
    return static(request, "favicon.svg")
