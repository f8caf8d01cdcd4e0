"""Health: whether the process runs, and whether it can do its work."""

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from stoat_ferret.api.dependencies import JobsDep, RuntimeDep, SupervisorDep
from stoat_ferret.errors import StoatError
from stoat_ferret.media.sandbox import lacking

router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process runs."""

    status: str = "ok"


class Check(BaseModel):
    """One thing that the server needs."""

    ok: bool
    detail: str
    facts: dict[str, Any] = Field(default_factory=dict)


class Ready(BaseModel):
    """Whether everything is there."""

    status: str = Field(examples=["ready"])
    checks: dict[str, Check]


@router.get("/live", summary="Does the process run?")
async def live() -> Live:
    """Answer 200 while the process runs."""
    return Live()


@router.get("/ready", summary="Can it do its work?", responses={503: {"model": Ready}})
async def ready(response: Response, runtime: RuntimeDep, jobs: JobsDep, supervisor: SupervisorDep) -> Ready:
    """Answer 200 when the databases can be used, a worker is alive and files can be examined; else 503. Says which."""
    checks = {
        "database": await to_thread.run_sync(_database, runtime),
        "worker": await _worker(jobs, supervisor),
        "media_sandbox": await to_thread.run_sync(_sandbox, runtime),
    }
    fine = all(check.ok for check in checks.values())
    if not fine:
        response.status_code = 503
    return Ready(status="ready" if fine else "not ready", checks=checks)


def _database(runtime: RuntimeDep) -> Check:
    try:
        count = len(runtime.repository.libraries())
        if runtime.catalogue.reserve is not None:
            runtime.catalogue.reserve.keep(runtime.catalogue.name)
    except StoatError as error:
        return Check(ok=False, detail=error.message)
    return Check(ok=True, detail=f"{runtime.catalogue.name} answers.", facts={"libraries": count})


async def _worker(jobs: JobsDep, supervisor: SupervisorDep) -> Check:
    try:
        workers = await jobs.live_workers()
    except StoatError as error:
        return Check(ok=False, detail=error.message)
    facts: dict[str, Any] = {"pids": [worker.pid for worker in workers]}
    if supervisor is not None:
        facts["restarts"] = supervisor.restarts
    if workers:
        return Check(ok=True, detail="Jobs are being run.", facts=facts)
    reason = supervisor.last_exit if supervisor is not None else None
    return Check(ok=False, detail=f"No worker is alive; jobs wait. {reason or ''}".strip(), facts=facts)


def _sandbox(runtime: RuntimeDep) -> Check:
    try:
        controls = runtime.grabber.check()
    except StoatError as error:
        return Check(ok=False, detail=error.message)
    detail = "Files are examined in a process of their own."
    if missing := ", ".join(lacking(controls)):
        detail += f" The system does not let it have: {missing}."
    return Check(ok=True, detail=detail, facts=dict(controls))
