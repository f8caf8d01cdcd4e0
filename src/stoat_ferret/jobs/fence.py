"""The fence in the catalogue: a copy of who may write for a job, checked by every batch in its own transaction.

Job records and catalogue are two databases (on Postgres two schemas), so no transaction spans both. Each run therefore
brings its attempt and token here before it starts; a later attempt overwrites an earlier one, never the other way
round, and whoever finds another token than its own may not write.

A claim of the same attempt overwrites too. There is one when a job goes on after waiting for its parts, and when a
power cut undid a claim that was not yet on disk; in both cases the process that held the earlier token is past writing.
"""

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from stoat_ferret.db.tables import job_claims
from stoat_ferret.errors import FencedError
from stoat_ferret.jobs.model import Claim

SHUT = ""
"""The token that nobody has."""


def raise_fence(connection: Connection, claim: Claim) -> None:
    """Let this claim write, and no earlier one any more.

    Raises:
        FencedError: a later claim was here first.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(job_claims).values(job_id=claim.job.id, attempt=claim.job.attempt, token=claim.token, batches=0)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[job_claims.c.job_id],
            set_={"attempt": new.attempt, "token": new.token, "batches": 0},
            where=new.attempt >= job_claims.c.attempt,
        )
    )
    token = connection.execute(select(job_claims.c.token).where(job_claims.c.job_id == claim.job.id)).scalar_one()
    if token != claim.token:
        raise FencedError


def pass_fence(connection: Connection, job_id: str, attempt: int, token: str | None) -> None:
    """Check that a run may write, and count this transaction as one in which it did.

    Without a token, any run of the attempt may: that of a job which does a part of it.

    Raises:
        FencedError: it may not.
    """
    held = job_claims.c.token != SHUT if token is None else job_claims.c.token == token
    mine = (job_claims.c.job_id == job_id, job_claims.c.attempt == attempt, held)
    counted = connection.execute(update(job_claims).where(*mine).values(batches=job_claims.c.batches + 1))
    if counted.rowcount != 1:
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
