"""`stoat workers`: who runs jobs, and which."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import moment, span
from stoat_ferret.jobs.model import Job, JobStatus, WorkerRecord

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime

PAGE = 200

HELP = help_text(
    "Say who runs jobs now, and what each of them does.",
    "A worker is a process that `stoat serve`, `stoat scan` or `stoat worker` has started, on this machine or another. "
    "To another program it prints a line a worker: id, machine, process, version, since when, slots, folders, jobs.",
    examples="stoat workers\nstoat workers --json",
    related="stoat jobs watch, stoat worker",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Say who runs jobs, and which.")(workers)


def workers(as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> ExitStatus:
    """List the workers."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        alive, jobs = asyncio.run(_look(runtime))
    if as_json:
        output.write_json({"workers": [_to_json(worker, jobs.get(worker.id, [])) for worker in alive]})
    elif output.in_terminal():
        _draw(alive, jobs)
    else:
        output.write_table([Column("")] * 8, [_cells(worker, jobs.get(worker.id, [])) for worker in alive])
    if not alive and not as_json:
        output.say("Nobody runs jobs now. `stoat serve` and `stoat worker` do.")
    return ExitStatus.OK


async def _look(runtime: "Runtime") -> tuple[Sequence[WorkerRecord], dict[str, list[Job]]]:
    """Give the workers that are alive, and the jobs that each runs: parts of scans among them."""
    from stoat_ferret.jobs.model import JobPage

    queue, jobs = runtime.queue, dict[str, list[Job]]()
    alive = await queue.live_workers()

    async def add(parent_id: str | None) -> None:
        cursor: str | None = None
        while True:
            page: JobPage = await queue.list(status=JobStatus.RUNNING, parent_id=parent_id, cursor=cursor, limit=PAGE)
            for job in page.jobs:
                jobs.setdefault(job.worker_id or "", []).append(job)
                if parent_id is None:
                    await add(job.id)
            cursor = page.next_cursor
            if cursor is None:
                return

    await add(None)
    return alive, jobs


def _to_json(worker: WorkerRecord, jobs: Sequence[Job]) -> dict[str, Any]:
    from stoat_ferret.api.schemas.job import JobStatusResponse

    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "started_at": wording.utc(worker.started_at),
        "seen_at": wording.utc(worker.seen_at),
        "slots": worker.slots,
        "roots": None if worker.places is None else list(worker.places),
        "jobs": [JobStatusResponse.of(job).model_dump(mode="json") for job in jobs],
    }


def _cells(worker: WorkerRecord, jobs: Sequence[Job]) -> tuple[str, ...]:
    from stoat_ferret.api.schemas.times import from_microseconds

    return (
        worker.id,
        worker.host,
        str(worker.pid),
        worker.version or "",
        moment(from_microseconds(worker.started_at)),
        "" if worker.slots is None else str(worker.slots),
        _roots(worker),
        " ".join(job.id for job in jobs),
    )


def _roots(worker: WorkerRecord) -> str:
    return "everything" if worker.places is None else ":".join(worker.places)


def _draw(alive: Sequence[WorkerRecord], jobs: dict[str, list[Job]]) -> None:
    columns = [Column("Machine"), Column("Process", right=True), Column("Version"), Column("Alive for")]
    columns += [Column("Slots", right=True)]
    rooted = any(worker.places is not None for worker in alive)
    columns += [Column("Reaches", fold=True)] if rooted else []
    columns += [Column("Does", fold=True)]
    now, rows = time.time_ns() // 1000, []
    for worker in alive:
        facts = [worker.host, str(worker.pid), worker.version or "", _since(worker, now)]
        facts += ["" if worker.slots is None else str(worker.slots), *([_roots(worker)] if rooted else [])]
        doing = [_doing(job) for job in jobs.get(worker.id, [])] or ["nothing"]
        rows += [[*facts, doing[0]], *([""] * len(facts) + [line] for line in doing[1:])]
    if rows:
        output.write_table(columns, rows)


def _since(worker: WorkerRecord, now: int) -> str:
    return span((now - worker.started_at) / 1e6)


def _doing(job: Job) -> str:
    what = f"part of {job.parent_id}" if job.parent_id is not None else wording.about(job)
    return " ".join(filter(None, (job.type, what, wording.share(job))))
