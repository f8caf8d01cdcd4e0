"""The application: routes, error handling, start and end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from stoat_ferret import __version__
from stoat_ferret.api import problems
from stoat_ferret.api.changes import ChangeFeed
from stoat_ferret.api.dependencies import State
from stoat_ferret.api.head import HeadLikeGet
from stoat_ferret.api.routers import changes, events, fixity, health, jobs, libraries, metrics, thumbnails, videos
from stoat_ferret.api.security import LocalCallersOnly
from stoat_ferret.api.services.scan import prepare_scan
from stoat_ferret.api.streams import HEARTBEAT_SECONDS, EventStreams
from stoat_ferret.api.timing import ServerTiming
from stoat_ferret.jobs.feed import JobFeed
from stoat_ferret.runtime import Runtime, open_runtime
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.settings import Settings
from stoat_ferret.web import routes as web

API = "/api/v1"
DESCRIPTION = """
A video library you can script. Point it at folders of footage; it keeps an exact, searchable catalogue of every video
in them, and does everything slow as a *job* that answers at once.

1. `POST /api/v1/videos/scan` with a folder's path answers with a `job_id`.
2. `GET /api/v1/jobs/{job_id}` says how far it is, and what it did; `…/events` tells it as it happens.
3. `GET /api/v1/videos/search?q=…` finds.

Errors are problem documents (RFC 9457): `detail` is for people, `code` for programs. Times are RFC 3339 in UTC,
durations seconds, sizes bytes. Lists are paged by cursor: give `next_cursor` back as `cursor`. Where GET works, HEAD
does too.
"""

log = structlog.get_logger(__name__)


def create_app(
    settings: Settings,
    *,
    supervise_worker: bool = True,
    in_memory_jobs: bool = False,
    scan_at_start: Sequence[bytes] = (),
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> FastAPI:
    """Build the application.

    Args:
        settings: what to build.
        supervise_worker: keep a worker process running beside this one.
        in_memory_jobs: run jobs at once and in this process, for tests.
        scan_at_start: folders for which a scan is put on the queue once all is up.
        heartbeat_seconds: how often something is sent at least on a stream of events.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        runtime = open_runtime(settings, in_memory_jobs=in_memory_jobs)
        supervisor = runtime.supervisor() if supervise_worker and not in_memory_jobs else None
        feed = JobFeed(runtime.queue)
        streams = EventStreams(
            runtime.queue, feed, most=settings.max_event_streams, heartbeat_seconds=heartbeat_seconds
        )
        changes_feed = ChangeFeed(runtime.catalogue)
        try:
            if supervisor is not None:
                supervisor.start()
            for path in scan_at_start:
                await _submit_scan(runtime, path)
            yield State(runtime=runtime, supervisor=supervisor, feed=feed, streams=streams, changes=changes_feed)
        finally:
            changes_feed.end()
            await feed.close()
            if supervisor is not None:
                await asyncio.to_thread(supervisor.stop)
            runtime.close()

    app = FastAPI(
        title="stoat-ferret",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _assemble(app, settings)
    web.mount(app)
    return app


def _assemble(app: FastAPI, settings: Settings) -> None:
    """Put middleware, problems and routes together."""
    app.add_middleware(HeadLikeGet)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=problems.MAX_BODY_BYTES)
    app.add_middleware(LocalCallersOnly, allowed_hosts=settings.allowed_hosts)
    app.add_middleware(ServerTiming)
    problems.register(app)
    for part in (fixity, thumbnails, videos, jobs, events, libraries, changes):
        app.include_router(part.router, prefix=API)
    app.include_router(health.router)
    app.include_router(metrics.router)


async def _submit_scan(runtime: Runtime, path: bytes) -> None:
    request = await prepare_scan(ScanOptions(path=path), runtime.settings, runtime.repository)
    submission = await runtime.queue.submit(request)
    log.info("scan submitted", path=submission.job.payload["path"], job_id=submission.job.id)
