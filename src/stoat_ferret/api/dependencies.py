"""What routes are handed."""

from collections import Counter
from typing import Annotated, TypedDict
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from stoat_ferret.api.changes import ChangeFeed
from stoat_ferret.api.streams import EventStreams
from stoat_ferret.errors import JobNotFoundError
from stoat_ferret.jobs.feed import JobFeed
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.jobs.supervisor import WorkerSupervisor
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.runtime import Runtime
from stoat_ferret.settings import Settings

# All of these are coroutines, though none waits for anything: FastAPI calls plain functions in a thread each, and at
# half a dozen for every request those changes of threads cost more than all else that a submit does.


class State(TypedDict):
    """What the application's lifespan yields."""

    runtime: Runtime
    supervisor: WorkerSupervisor | None
    feed: JobFeed
    streams: EventStreams
    changes: ChangeFeed


async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.state.runtime
    return runtime


async def _supervisor(request: Request) -> WorkerSupervisor | None:
    supervisor: WorkerSupervisor | None = request.state.supervisor
    return supervisor


async def _feed(request: Request) -> JobFeed:
    feed: JobFeed = request.state.feed
    return feed


async def _streams(request: Request) -> EventStreams:
    streams: EventStreams = request.state.streams
    return streams


async def _changes(request: Request) -> ChangeFeed:
    changes: ChangeFeed = request.state.changes
    return changes


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
SupervisorDep = Annotated[WorkerSupervisor | None, Depends(_supervisor)]
FeedDep = Annotated[JobFeed, Depends(_feed)]
StreamsDep = Annotated[EventStreams, Depends(_streams)]
ChangesDep = Annotated[ChangeFeed, Depends(_changes)]


async def _library(runtime: RuntimeDep) -> LibraryRepository:
    return runtime.repository


async def _jobs(runtime: RuntimeDep) -> AsyncJobQueue:
    return runtime.queue


async def _settings(runtime: RuntimeDep) -> Settings:
    return runtime.settings


LibraryDep = Annotated[LibraryRepository, Depends(_library)]
JobsDep = Annotated[AsyncJobQueue, Depends(_jobs)]
SettingsDep = Annotated[Settings, Depends(_settings)]

LimitParam = Annotated[int, Query(ge=1, le=200, description="Entries a page.")]
CursorParam = Annotated[str | None, Query(description="`next_cursor` of the page before.")]


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


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: a misspelt filter must not be a filter left out.

    One that comes twice is refused too, since only one of the two could be heeded.

    Raises:
        RequestValidationError: there is one.
    """
    route = request.scope.get("route")
    dependant = getattr(route, "dependant", None)
    if dependant is None:
        return
    known = _parameter_names(dependant)
    wrong: list[tuple[str, str, str]] = []
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            wrong.append((name, "unknown_parameter", f"This parameter is not known here. Known: {names}."))
        elif count > 1:
            wrong.append((name, "repeated_parameter", "This parameter is given more than once."))
    if wrong:
        raise RequestValidationError(
            [
                {"type": kind, "loc": ("query", name), "msg": message, "input": request.query_params[name]}
                for name, kind, message in wrong
            ]
        )


def _parameter_names(dependant: object) -> set[str]:
    names = {field.alias for field in getattr(dependant, "query_params", ())}
    for inner in getattr(dependant, "dependencies", ()):
        names |= _parameter_names(inner)
    return names


def not_modified(request: Request, response: Response, etag: str) -> Response | None:
    """Set the ETag; gives a 304 to answer with where the client has that version already (RFC 9110, 13.1.2)."""
    quoted = f'"{etag}"'
    response.headers["ETag"] = quoted
    wanted = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    if quoted in wanted or "*" in wanted:
        return Response(status_code=304, headers={"ETag": quoted})
    return None


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Set the `Link: rel="next"` header of a page that is not the last (RFC 8288)."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
