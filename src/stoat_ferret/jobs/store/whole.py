"""The store as a whole: what clients, workers and those who keep order call."""

from stoat_ferret.jobs.store.runs import Runs
from stoat_ferret.jobs.store.upkeep import Upkeep
from stoat_ferret.jobs.store.workforce import Workforce


class JobStore(Upkeep, Runs, Workforce):
    """All that can be done with the job records. Synchronous; any thread may call."""
