"""The fence in the catalogue: a copy of who may write for a job, checked by every batch in its own transaction.

Job records and catalogue are two databases (on Postgres two schemas), so no transaction spans both. Each run therefore
brings its attempt and token here before it starts; a later attempt overwrites an earlier one, never the other way
round, and whoever finds another token than its own may not write.

A claim of the same attempt overwrites too. There is one when a job goes on after waiting for its parts, and when a
power cut undid a claim that was not yet on disk; in both cases the process that held the earlier token is past writing.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.tables import job_claims
from stoat_ferret.errors import FencedError
from stoat_ferret.jobs.model import Claim

SHUT = ""
"""The token that nobody has."""


def _raise() -> dict[str, Prepared]:
    statements: dict[str, Prepared] = {}
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
        values: dict[str, Any] = {
            "job_id": bindparam("job_id"),
            "attempt": bindparam("attempt"),
            "token": bindparam("token"),
        }
        statement = dialect.insert(job_claims).values(values | {"batches": 0})
        new = statement.excluded
        raised = statement.on_conflict_do_update(
            index_elements=[job_claims.c.job_id],
            set_={"attempt": new.attempt, "token": new.token, "batches": 0},
            where=new.attempt >= job_claims.c.attempt,
        )
        statements[name] = Prepared(raised.returning(job_claims.c.job_id))
    return statements


@dataclass(frozen=True, slots=True)
class Fence:
    """A run's right to write, in a form that can be handed to the jobs that do parts of it."""

    job_id: str
    attempt: int
    token: str | None
    """None: of whichever claim of the attempt is in force."""


RAISE = _raise()
"""By dialect: returns a row if the fence was raised."""
_OF_ATTEMPT = (job_claims.c.job_id == bindparam("of_job"), job_claims.c.attempt == bindparam("of_attempt"))
_COUNT = update(job_claims).where(*_OF_ATTEMPT).values(batches=job_claims.c.batches + 1)
PASS = Prepared(_COUNT.where(job_claims.c.token == bindparam("of_token")))
PASS_FOR_ATTEMPT = Prepared(_COUNT.where(job_claims.c.token != SHUT))


def raise_fence(connection: Connection, claim: Claim) -> None:
    """Let this claim write, and no earlier one any more.

    Raises:
        FencedError: a later claim was here first.
    """
    mine = {"job_id": claim.job.id, "attempt": claim.job.attempt, "token": claim.token}
    if not RAISE[connection.dialect.name].rows(connection, **mine):
        raise FencedError


def pass_fence(connection: Connection, fence: Fence) -> None:
    """Check that a run may write, and count this transaction as one in which it did.

    Raises:
        FencedError: it may not.
    """
    mine = {"of_job": fence.job_id, "of_attempt": fence.attempt}
    if fence.token is None:
        counted = PASS_FOR_ATTEMPT.run(connection, mine)
    else:
        counted = PASS.run(connection, mine | {"of_token": fence.token})
    if counted != 1:
        raise FencedError


def shut_fence(connection: Connection, claim: Claim) -> None:
    """Let this claim write no more, though no other has taken its place."""
    mine = (job_claims.c.job_id == claim.job.id, job_claims.c.token == claim.token)
    connection.execute(update(job_claims).where(*mine).values(token=SHUT))


def stored_nothing(connection: Connection, job_id: str, attempt: int) -> bool:
    """Tell whether an attempt died before it had stored anything."""
    batches = connection.execute(
        select(job_claims.c.batches).where(job_claims.c.job_id == job_id, job_claims.c.attempt == attempt)
    ).scalar_one_or_none()
    return not batches
