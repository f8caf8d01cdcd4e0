"""The queue in a Postgres database, on Procrastinate: any number of workers, on any number of machines.

The job record is ours and alone decides. A job of Procrastinate's is only a *token*: it says "try to claim this id", to
one worker at a time, the most urgent first, and wakes those who wait. Tokens change in the transactions in which the
records do, so there is no moment at which one says something that the other does not.
"""

from stoat_ferret.jobs.postgres.queue import PostgresJobQueue
from stoat_ferret.jobs.postgres.schema import install_engine
from stoat_ferret.jobs.postgres.store import PostgresJobStore

__all__ = ["PostgresJobQueue", "PostgresJobStore", "install_engine"]
