"""Tokens: Procrastinate's jobs, each of which stands for one of ours.

    offered ──► todo ──fetched──► doing ──► forgotten, when the claim is over
                 ▲                  │
                 └── put back, or rested ◄──┘

All is done in a transaction that is handed in, also what Procrastinate itself would do on connections of its own.
"""

import hashlib
import json
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from procrastinate.connector import BaseAsyncConnector
from procrastinate.exceptions import NoResult
from procrastinate.jobs import Job as Token
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, text

from stoat_ferret.jobs.transitions import Row

TASK = "run"
QUEUE_NAME_LENGTH = 40
"""Procrastinate makes a channel's name of it, for which Postgres has 63 bytes, and puts 23 of its own before it."""
DIGEST_BYTES = 8
GOES_ON = 1 << 30
"""Above every priority that is asked for."""
REST_SECONDS = 1.0
"""After how long a job that cannot run now is tried again."""

# Procrastinate can change a token that a worker has, but none that waits. The id is kept, and with it the job's place
# among those of equal urgency.
MOVE = text(
    "UPDATE procrastinate_jobs SET priority = :priority, scheduled_at = :scheduled_at "
    "WHERE queueing_lock = :job_id AND status = 'todo' RETURNING id"
)
# As Procrastinate itself defers, but only where the job of ours was recorded, by a statement just before this one.
OFFER_RECORDED = (
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(%(queue)s, %(task)s, %(priority)s, NULL, %(job_id)s, %(args)s, "
    "%(scheduled_at)s)::procrastinate_job_to_defer_v1]) FROM jobs WHERE id = %(job_id)s"
)
IS_DOING = text("SELECT 1 FROM procrastinate_jobs WHERE id = :id AND queueing_lock = :job_id AND status = 'doing'")
IS_WORKER = text("SELECT 1 FROM procrastinate_workers WHERE id = :id")

T = TypeVar("T")


class Tokens:
    """The engine's side of the job records: `Dispatch`, and what a claim asks of it."""

    def __init__(self) -> None:
        self._workers: dict[str, int] = {}

    def offer(self, connection: Connection, row: Row, held: int | None = None, *, is_new: bool = False) -> None:
        """Have a token of a pending job wait for a worker: the one that waits, the one that it had, or a new one."""
        priority = _priority(row)
        scheduled_at = None if row["run_after"] is None else _moment(row["run_after"])
        moved = {"job_id": row["id"], "priority": priority, "scheduled_at": scheduled_at}
        if not is_new and connection.execute(MOVE, moved).first() is not None:
            if held is not None:
                self.retire(connection, row, held)
        elif held is not None and _is_doing(connection, row, held):
            manager(connection).retry_job_by_id(held, scheduled_at or _moment(0), priority)
        else:
            token = Token(
                queue=queue_name(row["type"], row["place"], row["exclusive_key"]),
                task_name=TASK,
                task_kwargs={"job_id": row["id"]},
                priority=priority,
                scheduled_at=scheduled_at,
                queueing_lock=row["id"],  # at most one waits
                # None: theirs would let a job that waits for its time, or out of reach, hold up another one of the key.
                lock=None,
            )
            manager(connection).defer_job(token)

    @staticmethod
    def offer_recorded(connection: Connection, row: Row) -> None:
        """Send what offers a pending job, unless it turned out not to have been recorded by what was sent before.

        Args:
            connection: of `write_at_once`.
            row: the job, as it was to be recorded.
        """
        driver: Any = connection.connection.driver_connection
        about = {
            "queue": queue_name(row["type"], row["place"], row["exclusive_key"]),
            "task": TASK,
            "priority": _priority(row),
            "job_id": row["id"],
            "args": Jsonb({"job_id": row["id"]}),
            "scheduled_at": None if row["run_after"] is None else _moment(row["run_after"]),
        }
        driver.execute(OFFER_RECORDED, about)

    def retire(self, connection: Connection, row: Row, held: int) -> None:
        """Forget the token of a claim that is over, if it is still there."""
        if _is_doing(connection, row, held):
            self.forget(connection, held)

    def forget(self, connection: Connection, token_id: int) -> None:
        """Delete a token, which waits or is held."""
        _done(manager(connection).finish_job_by_id_async(token_id, Status.SUCCEEDED, delete_job=True))

    def fetch(self, connection: Connection, queues: Sequence[str], worker_id: str) -> Token | None:
        """Take the most urgent token, of these the oldest, for a worker that is known."""
        known = self._workers.get(worker_id)
        if known is None:  # dismissed a moment ago, by another thread
            return None
        return _done(manager(connection).fetch_job(list(queues), known))

    def rest(self, connection: Connection, token: Token) -> None:
        """Put a token back for a moment: its job may not run just now."""
        assert token.id is not None  # noqa: S101  # it was fetched
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        manager(connection).retry_job_by_id(token.id, now + timedelta(seconds=REST_SECONDS))

    def alive(self, connection: Connection, worker_id: str) -> None:
        """Say that a worker lives."""
        if not self.knows(connection, worker_id):
            self.register(connection, worker_id)
        _done(manager(connection).update_heartbeat(self._workers[worker_id]))

    def gone(self, connection: Connection, worker_id: str) -> None:
        """Forget a worker that has ended."""
        if (engine_worker := self._workers.pop(worker_id, None)) is not None:
            _done(manager(connection).unregister_worker(engine_worker))

    def prune(self, connection: Connection, silent_seconds: float) -> None:
        """Forget workers that were not heard of for so long."""
        _done(manager(connection).prune_stalled_workers(silent_seconds))

    def knows(self, connection: Connection, worker_id: str) -> bool:
        """Tell whether a worker can be given a token.

        It is asked each time: the transaction that made it known may not have been committed, and others forget those
        that are silent.
        """
        known = self._workers.get(worker_id)
        return known is not None and connection.execute(IS_WORKER, {"id": known}).first() is not None

    def register(self, connection: Connection, worker_id: str) -> None:
        """Make a worker known."""
        self._workers[worker_id] = _done(manager(connection).register_worker())


def queue_name(job_type: str, place: str | None, exclusive_key: str | None) -> str:
    """Give the queue of a job's token: one for all that a worker can only take or leave together."""
    if place is None and exclusive_key is None:
        return job_type
    about = json.dumps([job_type, place, exclusive_key]).encode()
    digest = hashlib.blake2b(about, digest_size=DIGEST_BYTES).hexdigest()
    return f"{job_type[: QUEUE_NAME_LENGTH - len(digest) - 1]}@{digest}"


def manager(connection: Connection) -> JobManager:
    """Give Procrastinate's calls, made in the transaction of a connection."""
    return JobManager(_OnConnection(connection))


class _OnConnection(BaseAsyncConnector):
    """Makes Procrastinate's calls through SQLAlchemy, whose errors and transactions are those of all other statements.

    Those of its calls that exist only as coroutines have nothing to wait for here; see `_done`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_sync_connector(self) -> "_OnConnection":
        return self

    def execute_query_all(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        found = self._connection.exec_driver_sql(query, {name: _adapted(each) for name, each in arguments.items()})
        return [dict(row) for row in found.mappings()]

    def execute_query_one(self, query: str, **arguments: Any) -> dict[str, Any]:
        for found in self.execute_query_all(query, **arguments):
            return found
        raise NoResult

    def execute_query(self, query: str, **arguments: Any) -> None:
        self.execute_query_all(query, **arguments)

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        self.execute_query(query, **arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        return self.execute_query_one(query, **arguments)

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        return self.execute_query_all(query, **arguments)


def _done(call: Coroutine[Any, Any, T]) -> T:
    """Give what a coroutine returns that never waits."""
    try:
        call.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    msg = "a call waits for something, in the midst of a transaction"
    raise RuntimeError(msg)


def _adapted(value: Any) -> Any:
    match value:
        case dict():
            return Jsonb(value)
        case list() | tuple():
            adapted = map(_adapted, value)
            return list(adapted) if isinstance(value, list) else tuple(adapted)
    return value


def _priority(row: Row) -> int:
    # One that goes on after its parts have ended comes before all others: it was begun before them.
    return GOES_ON if row["resumes"] else int(row["priority"])


def _is_doing(connection: Connection, row: Row, token_id: int) -> bool:
    # In a database that was copied, the number may be another job's token.
    return connection.execute(IS_DOING, {"id": token_id, "job_id": row["id"]}).first() is not None


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
