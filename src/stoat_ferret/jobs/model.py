"""What a job is: the record that clients read and workers move forward, the same for every engine."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stoat_ferret.jobs.context import JobContext


class JobStatus(StrEnum):
    """Where a job stands. `pending` → `running` → one of the terminal ones, which never change."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True once the job has ended."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is asked of the queue."""

    type: str
    payload: dict[str, Any]
    """Plain JSON values."""
    key: str = ""
    """Requests of one type with equal keys ask for the same thing: a pending one is joined. Default: the payload."""
    exclusive_key: str | None = None
    """At most one job with the same one runs at a time; the others stay pending.

    A key that another one begins with excludes that too, as a folder does those in it: end what stands for a folder
    with a slash. A job that waits for its parts runs.
    """
    priority: int = 0
    """Higher is claimed first."""
    run_after: int | None = None
    """Not before this moment, in microseconds since 1970 UTC."""
    timeout_seconds: float | None = None
    retry_of: str | None = None
    place: str | None = None
    """A folder that a worker must reach to run it; None: any worker will do."""
    parent_id: str | None = None
    """The job that this one is a part of; it ends with it."""

    def __post_init__(self) -> None:
        # Also where a key is given: what is no JSON is refused here, with a TypeError, and not by a database.
        payload = json.dumps(self.payload, sort_keys=True)
        if not self.key:
            object.__setattr__(self, "key", payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceKey:
    """What makes a submit that is sent twice be done once (the HTTP header `Idempotency-Key`)."""

    scope: str
    """Whose key it is: caller and route."""
    key: str
    fingerprint: str
    """Of all that was sent under the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job's record as it stands. Times are microseconds since 1970 UTC."""

    id: str
    revision: int
    type: str
    payload: dict[str, Any]
    status: JobStatus
    created_at: int
    attempt: int = 0
    """How often it was claimed."""
    strikes: int = 0
    """How often its worker died, under a living supervisor, having stored nothing."""
    priority: int = 0
    timeout_seconds: float | None = None
    progress: float | None = None
    """0.0 to 1.0, never going back within an attempt; None while not known. 1.0 only when complete."""
    progress_detail: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    error_code: str | None = None
    cancel_requested: bool = False
    retry_of: str | None = None
    place: str | None = None
    parent_id: str | None = None
    checkpoint: dict[str, Any] | None = None
    """What it left for itself when it began to wait for its parts; set only while it waits and when it goes on."""
    worker_id: str | None = None
    """Who runs it now."""
    run_after: int | None = None
    started_at: int | None = None
    finished_at: int | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to a submit; it is on disk when it is given."""

    job: Job
    joined: bool
    """True where an equal pending job was there already and no new one was made."""
    replayed: bool = False
    """True where the same submit was made before, under the same key."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, newest first."""

    jobs: tuple[Job, ...]
    next_cursor: str | None = None
    """Give it to the next call; None at the end."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one step of forgetting old jobs has deleted."""

    job_ids: tuple[str, ...]
    """Jobs that are gone with all their parts, the oldest first."""
    rows: int
    """All records that went: jobs, parts and idempotency keys; 0 once nothing is left to forget."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job, until another worker takes it over, which it may once the lease has ended."""

    job: Job
    token: str
    """The fencing token: every write of this run carries it."""
    engine_id: int | None = None
    """The engine's own job that brought it, where the engine has such."""
    elapsed_seconds: float = 0.0
    """How long this attempt has taken so far: more than nothing where it goes on after waiting for its parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A worker process that said of late that it is alive. Times are microseconds since 1970 UTC."""

    id: str
    host: str
    pid: int
    started_at: int
    seen_at: int
    version: str | None = None
    slots: int | None = None
    """Jobs that it runs at once."""
    places: tuple[str, ...] | None = None
    """Folders that it reaches; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProfile:
    """What a worker says of itself."""

    version: str | None = None
    slots: int | None = None
    places: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs a worker's slot takes."""

    without_types: frozenset[str] = frozenset()
    reaches: Callable[[str], bool] | None = None
    """Tells whether it can run jobs of a place; None: of every place."""


ANYTHING = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something is submitted by itself. Times are microseconds since 1970 UTC."""

    name: str
    cron: str
    next_at: int
    last_at: int | None = None
    last_job_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The queue in numbers."""

    jobs: dict[tuple[str, str], int]
    """By type and status."""
    oldest_ready_at: dict[str, int]
    """By type: since when the first pending job that is due has waited, also where a limit or a job with the same
    exclusive key holds it back; in microseconds since 1970 UTC."""
    counters: dict[str, float]
    """Numbers that only grow, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a run ended."""

    status: JobStatus
    result: dict[str, Any] | None = None
    error: str | None = None
    error_code: str | None = None


JobHandler = Callable[[Job, "JobContext"], Awaitable[dict[str, Any]]]
"""Does the work and gives the result. Raises a StoatError with a message for a person when it cannot; may attach what
was done until then as `partial_result` through `JobContext.partial_result`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is, as the handler sees it."""

    phase: str
    done: int
    total: int | None = None
    """None while not known."""
    unit: str = "files"
    current: str | None = None
    rate: float | None = field(default=None)
    """Units per second, of late."""
    eta_seconds: float | None = field(default=None)
