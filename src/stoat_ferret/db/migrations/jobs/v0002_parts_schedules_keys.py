"""Jobs that have parts and places; idempotency keys, schedules, counters; revisions that are never given twice."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Words, words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("place", Words, nullable=True))
    op.add_column("jobs", sa.Column("parent_id", words(36), nullable=True))
    op.add_column("jobs", sa.Column("checkpoint", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("resumes", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("jobs", sa.Column("engine_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_jobs_parent_id", "jobs", ["parent_id"])
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])
    op.create_index(
        "ix_jobs_pending_place",
        "jobs",
        ["place"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.add_column("workers", sa.Column("version", words(32), nullable=True))
    op.add_column("workers", sa.Column("slots", sa.Integer(), nullable=True))
    op.add_column("workers", sa.Column("places", sa.JSON(), nullable=True))
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", words(128), nullable=False),
        sa.Column("key", words(255), nullable=False),
        sa.Column("fingerprint", words(64), nullable=False),
        sa.Column("job_id", words(36), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "schedules",
        sa.Column("name", words(128), nullable=False),
        sa.Column("cron", Words, nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("last_job_id", words(36), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
    op.create_table(
        "counters",
        sa.Column("name", words(128), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.execute("INSERT INTO counters (name, value) SELECT 'revision', MAX(revision) FROM jobs HAVING COUNT(*) > 0")
