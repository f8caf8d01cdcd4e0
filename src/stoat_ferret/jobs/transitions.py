"""The life of a job record, as pure functions: a row and what happened to it give the columns that change.

Every queue moves its records by these, so that a job means the same in memory and in a database.

    (new) ──► pending ──claimed──► running ──finished──► complete, failed, timeout, cancelled
                 ▲  │                 │ │ │
                 │  └─cancelled─► cancelled (at once)
                 └──────handed_back───┘ │ └─struck─► pending, or failed at the third strike
                                        └─waiting─► still running, without a lease ──woken, claimed─► running
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stoat_ferret.errors import JobAlreadyFinishedError
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus, Progress

Row = Mapping[str, Any]
Changes = dict[str, Any]

MAX_STRIKES = 3
GIVE_WAY_SECONDS = 10.0
MOST_DOUBLINGS = 16
NOBODY: Changes = {"token": None, "worker_id": None, "lease_expires_at": None, "engine_id": None}


def new_row(request: JobRequest, *, job_id: str, now: int | None) -> Changes:
    """Give the columns of a new, pending job. Without a time, the database says when it is recorded."""
    return {
        "id": job_id,
        "type": request.type,
        "key": stored_text(request.key),
        "exclusive_key": None if request.exclusive_key is None else stored_text(request.exclusive_key),
        "payload": request.payload,
        "status": JobStatus.PENDING.value,
        "priority": request.priority,
        "run_after": request.run_after,
        "timeout_seconds": request.timeout_seconds,
        "attempt": 0,
        "strikes": 0,
        "cancel_requested": False,
        "retry_of": request.retry_of,
        "place": None if request.place is None else stored_text(request.place),
        "parent_id": request.parent_id,
        "resumes": False,
        "created_at": now,
    }


def own_suffix(job_id: str) -> str:
    """Give what makes a key a job's own."""
    return f"#{job_id}"


def joined(row: Row, request: JobRequest) -> Changes:
    """Join a pending job: it becomes as urgent as the most urgent of those who asked for it."""
    changes: Changes = {}
    if request.priority > row["priority"]:
        changes["priority"] = request.priority
    if row["run_after"] is not None and (request.run_after is None or request.run_after < row["run_after"]):
        changes["run_after"] = request.run_after
    return changes


def claimed(
    row: Row, *, worker_id: str, token: str, now: int, lease_expires_at: int, engine_id: int | None = None
) -> Changes:
    """Give a job to a worker: for a new attempt, or to go on with the one that waited for the job's parts."""
    lease: Changes = {
        "status": JobStatus.RUNNING.value,
        "token": token,
        "worker_id": worker_id,
        "lease_expires_at": lease_expires_at,
        "engine_id": engine_id,
        "resumes": False,
    }
    if row["resumes"]:
        return lease
    return {
        **lease,
        "attempt": row["attempt"] + 1,
        "checkpoint": None,
        "progress": None,
        "progress_detail": None,
        "started_at": now,
    }


def waiting(checkpoint: dict[str, Any]) -> Changes:
    """Let a running job wait for its parts, on no worker's slot: it runs, and nobody's lease can end."""
    return {**NOBODY, "checkpoint": checkpoint}


def patience_seconds(attempt: int) -> float:
    """Give how long an attempt goes on before it gives way to a more urgent job: each later one twice as long.

    So the job comes to its end, and what is done anew takes no longer than that, however often others come between.
    """
    return float(GIVE_WAY_SECONDS * 2 ** min(attempt - 1, MOST_DOUBLINGS))


def woken() -> Changes:
    """Let a job that waited for its parts go on, on the next free slot.

    It has been running all the while, and keeps others of its exclusive key from running.
    """
    return {"resumes": True}


def waits(row: Row) -> bool:
    """Tell whether a job waits for its parts."""
    return row["status"] == JobStatus.RUNNING.value and row["lease_expires_at"] is None and not row["resumes"]


def is_takeable(row: Row) -> bool:
    """Tell whether a job is one that a worker may claim: it is pending, or goes on after it has waited."""
    return row["status"] == JobStatus.PENDING.value or bool(row["resumes"])


def handed_back(row: Row, *, now: int, run_after: int | None = None) -> Changes:
    """Take a job from its worker: it waits again, or is at its end where that was asked for.

    Its key becomes its own. Nobody joins a job that has begun, since what it did before may lie behind what is asked
    now; and an equal job submitted meanwhile may wait beside it.
    """
    if row["cancel_requested"]:
        return finished(row, JobOutcome(status=JobStatus.CANCELLED), now=now)
    return {
        **NOBODY,
        "status": JobStatus.PENDING.value,
        "key": _own_key(row),
        "resumes": False,
        "checkpoint": None,
        "run_after": run_after,
        "progress": None,
        "progress_detail": None,
        "started_at": None,
    }


def _own_key(row: Row) -> str:
    suffix = own_suffix(row["id"])
    key: str = row["key"]
    return key if key.endswith(suffix) else key + suffix


def struck(row: Row, *, now: int) -> Changes:
    """Count a death of the worker that had stored nothing; the third one ends the job, which must be what kills it."""
    strikes = row["strikes"] + 1
    if strikes < MAX_STRIKES or row["cancel_requested"]:
        return {**handed_back(row, now=now), "strikes": strikes}
    sentence = (
        f"The worker process died {strikes} times while it ran this job, each time before anything was stored, "
        "so the job was given up. The log says how the process ended."
    )
    outcome = JobOutcome(status=JobStatus.FAILED, error=sentence, error_code="WORKER_DIED")
    return {**finished(row, outcome, now=now), "strikes": strikes}


def cancelled(row: Row, *, now: int) -> Changes:
    """Ask for a job's end. Asking a running one again changes nothing.

    Raises:
        JobAlreadyFinishedError: it has ended already.
    """
    status = JobStatus(row["status"])
    if status.terminal:
        msg = f"The job {row['id']} has already ended: it is {status.value}."
        raise JobAlreadyFinishedError(msg)
    if row["cancel_requested"]:
        return {}
    if status is JobStatus.PENDING:
        return {"cancel_requested": True, **finished(row, JobOutcome(status=JobStatus.CANCELLED), now=now)}
    return {"cancel_requested": True}


def reported(row: Row, fraction: float | None, progress: Progress) -> Changes:
    """Record progress, which never goes back within an attempt."""
    known: float | None = row["progress"]
    if fraction is None:
        fraction = known
    elif known is not None:
        fraction = max(fraction, known)
    return {"progress": fraction, "progress_detail": asdict(progress)}


def finished(row: Row, outcome: JobOutcome, *, now: int) -> Changes:
    """End a job."""
    if not outcome.status.terminal:
        msg = f"a job cannot end as {outcome.status.value}"
        raise ValueError(msg)
    return {
        **NOBODY,
        "status": outcome.status.value,
        "progress": 1.0 if outcome.status is JobStatus.COMPLETE else row.get("progress"),
        "result": outcome.result,
        "error": None if outcome.error is None else stored_text(outcome.error),
        "error_code": outcome.error_code,
        "resumes": False,
        "checkpoint": None,
        "finished_at": now,
    }


def as_job(row: Row) -> Job:
    """Give a row as clients see it."""
    return Job(
        id=row["id"],
        revision=row["revision"],
        type=row["type"],
        payload=row["payload"],
        status=JobStatus(row["status"]),
        created_at=row["created_at"],
        attempt=row["attempt"],
        strikes=row["strikes"],
        priority=row["priority"],
        timeout_seconds=row["timeout_seconds"],
        progress=row["progress"],
        progress_detail=row["progress_detail"],
        result=row["result"],
        error=row["error"],
        error_code=row["error_code"],
        cancel_requested=bool(row["cancel_requested"]),
        retry_of=row["retry_of"],
        place=row["place"],
        parent_id=row["parent_id"],
        checkpoint=row["checkpoint"],
        worker_id=row["worker_id"],
        run_after=row["run_after"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def stored_text(text: str) -> str:
    """Make text fit for any database: a path that is not UTF-8 comes as lone surrogates, which none of them takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
