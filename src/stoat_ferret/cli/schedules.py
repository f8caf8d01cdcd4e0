"""`stoat schedules`: what happens by itself, and when."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import typer

from stoat_ferret import paths
from stoat_ferret.cli import output, wording
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, help_text
from stoat_ferret.cli.output import Column
from stoat_ferret.cli.session import opened, quiet_settings
from stoat_ferret.cli.text import span
from stoat_ferret.errors import JobNotFoundError

if TYPE_CHECKING:
    from stoat_ferret.api.services.schedules import Plan
    from stoat_ferret.jobs.model import Job
    from stoat_ferret.runtime import Runtime

HELP = help_text(
    "Say what happens by itself, when next, and what came of it last.",
    "The maintenance, the verification of contents, and the scans of libraries with a schedule. Times are those of "
    "this machine, as the lines are read; in JSON they are UTC. To another program it prints a line a schedule: name, "
    "line, next, last, last job, folder.",
    examples="stoat schedules\nstoat schedules --json",
    related="stoat libraries set, stoat maintenance",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Say what happens by itself, and when.")(schedules)


def schedules(as_json: AsJson = False, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> ExitStatus:
    """List the schedules."""
    with opened(quiet_settings(data_dir, database_url)) as runtime:
        plans, last, workers = asyncio.run(_look(runtime))
    now = time.time_ns() // 1000
    if as_json:
        output.write_json({"schedules": [_to_json(plan, now) for plan in plans]})
        return ExitStatus.OK
    if output.in_terminal() and plans:
        columns = [Column("Of", fold=True), Column("Line"), Column("Next", fold=True), Column("Last", fold=True)]
        output.write_table(columns, [_shown(plan, last.get(plan.name), now) for plan in plans])
    else:
        output.write_table([Column("")] * 6, [_cells(plan, now) for plan in plans])
    for plan in plans:
        if plan.problem:
            output.say(f"{_name(plan)}: {plan.problem}")
    if not plans:
        output.say('Nothing happens by itself. `stoat libraries set FOLDER --schedule "0 3 * * *"` makes it so.')
    elif not workers:
        output.say("Nobody runs jobs now; what is missed is made up for once when `stoat serve` or a worker starts.")
    return ExitStatus.OK


async def _look(runtime: "Runtime") -> "tuple[list[Plan], dict[str, Job], int]":
    """Give the schedules, the last job of each that is still known, and how many workers there are."""
    plans, last = await runtime.scheduler().plans(), {}
    for plan in plans:
        if plan.known is not None and plan.known.last_job_id is not None:
            try:
                last[plan.name] = await runtime.queue.get(plan.known.last_job_id)
            except JobNotFoundError:
                continue
    return plans, last, len(await runtime.queue.live_workers())


def _next_at(plan: "Plan", now: int) -> int | None:
    """Say when it is due next; None where its line cannot be used."""
    from stoat_ferret.jobs import cron

    if plan.problem is not None:
        return None
    return plan.known.next_at if plan.settled and plan.known is not None else cron.next_after(plan.cron, now)


def _name(plan: "Plan") -> str:
    return plan.name if plan.library is None else plan.library.name


def _shown(plan: "Plan", last: "Job | None", now: int) -> tuple[str, ...]:
    due = _next_at(plan, now)
    when = "never: see below" if due is None else f"{wording.local_moment(due)}, {_distance(due, now)}"
    before = "" if plan.known is None or plan.known.last_at is None else wording.ago(plan.known.last_at, now)
    return (_name(plan), plan.cron, when, ", ".join(filter(None, (before, last.status.value if last else ""))))


def _distance(due: int, now: int) -> str:
    return f"in {span((due - now) / 1e6)}" if due > now else "now"


def _cells(plan: "Plan", now: int) -> tuple[str, ...]:
    known = plan.known
    return (
        plan.name,
        plan.cron,
        wording.local_moment(_next_at(plan, now)),
        wording.local_moment(known.last_at if known else None),
        (known.last_job_id if known else None) or "",
        "" if plan.library is None else paths.display(plan.library.path_bytes),
    )


def _to_json(plan: "Plan", now: int) -> dict[str, Any]:
    known, library = plan.known, plan.library
    return {
        "name": plan.name,
        "cron": plan.cron,
        "library_id": library.id if library else None,
        "path": paths.display(library.path_bytes) if library else None,
        "next_at": wording.utc(_next_at(plan, now)),
        "last_at": wording.utc(known.last_at if known else None),
        "last_job_id": known.last_job_id if known else None,
        "problem": plan.problem,
    }
