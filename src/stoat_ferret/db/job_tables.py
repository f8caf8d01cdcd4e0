"""The schema of the job records, once: jobs.db, or the schema `stoat_jobs` on Postgres. Migrations build it.

Every `*_at` column holds microseconds since 1970-01-01 UTC.
"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, false, text

from stoat_ferret.db.columns import NAMING, Words, words

job_records = MetaData(naming_convention=NAMING)

jobs = Table(
    "jobs",
    job_records,
    Column("id", words(36), primary_key=True),
    Column("revision", BigInteger, nullable=False, index=True),  # grows with every change of any job
    Column("type", words(32), nullable=False),
    Column("key", Words, nullable=False),  # equal for submits that may be joined
    Column("exclusive_key", Words),  # at most one job with the same one runs
    Column("payload", JSON, nullable=False),
    Column("status", words(16), nullable=False),
    Column("priority", Integer, nullable=False, server_default=text("0")),  # higher first
    Column("run_after", BigInteger),
    Column("timeout_seconds", Float),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("strikes", Integer, nullable=False, server_default=text("0")),  # deaths of a worker that had stored nothing
    Column("token", words(36)),
    Column("worker_id", words(36)),
    Column("lease_expires_at", BigInteger),
    Column("progress", Float),
    Column("progress_detail", JSON),
    Column("result", JSON),
    Column("error", Words),
    Column("error_code", words(32)),
    Column("cancel_requested", Boolean, nullable=False, server_default=false()),
    Column("retry_of", words(36)),
    Column("place", Words),  # what a worker has to reach to run it: a folder; null: any worker will do
    Column("parent_id", words(36), index=True),  # the job that this one is a part of
    Column("checkpoint", JSON),  # what a job that waits for its parts has to know when it goes on
    Column("resumes", Boolean, nullable=False, server_default=false()),  # the next claim goes on with this attempt
    Column("engine_id", BigInteger),  # the engine's own job that brought the present claim
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Index(
        "uq_jobs_pending_key",
        "type",
        "key",
        unique=True,
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
    Index(
        "uq_jobs_running_exclusive_key",
        "exclusive_key",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
    Index("ix_jobs_status_priority_id", "status", text("priority DESC"), "id"),
    Index("ix_jobs_type_id", "type", "id"),
    Index("ix_jobs_finished_at", "finished_at"),
    Index(
        "ix_jobs_pending_place",
        "place",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
)

workers = Table(
    "workers",
    job_records,
    Column("id", words(36), primary_key=True),
    Column("host", Words, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started_at", BigInteger, nullable=False),  # with the pid, names a process for good
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("version", words(32)),
    Column("slots", Integer),  # jobs that it runs at once
    Column("places", JSON),  # folders that it reaches; null: all
)

# Submits that must not be done twice: what was sent under a key, and the job that came of it.
idempotency_keys = Table(
    "idempotency_keys",
    job_records,
    Column("scope", words(128), primary_key=True),  # caller and route
    Column("key", words(255), primary_key=True),
    Column("fingerprint", words(64), nullable=False),
    Column("job_id", words(36), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)

schedules = Table(
    "schedules",
    job_records,
    Column("name", words(128), primary_key=True),
    Column("cron", Words, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("last_at", BigInteger),
    Column("last_job_id", words(36)),
)

# Numbers that only grow, over all processes and restarts. Among them the last revision given to a change of any job,
# which is not the largest in `jobs`, since jobs can be deleted.
counters = Table(
    "counters",
    job_records,
    Column("name", words(128), primary_key=True),
    Column("value", Float, nullable=False),
)
