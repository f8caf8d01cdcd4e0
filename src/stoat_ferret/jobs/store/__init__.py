"""The job records of one database, in SQL. See `records` for what all calls have in common."""

from stoat_ferret.jobs.store.runs import Runs
from stoat_ferret.jobs.store.upkeep import Upkeep
from stoat_ferret.jobs.store.workforce import Workforce

__all__ = ["JobStore"]


class JobStore(Upkeep, Runs, Workforce):
    """All that can be done with the job records. Synchronous; any thread may call."""
