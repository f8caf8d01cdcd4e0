"""The job records of one database, in SQL. See `records` for what all calls have in common."""

from stoat_ferret.jobs.store.whole import JobStore

__all__ = ["JobStore"]
