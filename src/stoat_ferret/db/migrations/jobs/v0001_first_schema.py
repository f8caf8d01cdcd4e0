"""First schema."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Words, words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", words(36), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("type", words(32), nullable=False),
        sa.Column("key", Words, nullable=False),
        sa.Column("exclusive_key", Words, nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("status", words(16), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("run_after", sa.BigInteger(), nullable=True),
        sa.Column("timeout_seconds", sa.Float(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("strikes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("token", words(36), nullable=True),
        sa.Column("worker_id", words(36), nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("progress_detail", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", Words, nullable=True),
        sa.Column("error_code", words(32), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("retry_of", words(36), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_revision"), ["revision"], unique=False)
        batch_op.create_index("ix_jobs_type_id", ["type", "id"], unique=False)
        batch_op.create_index(
            "uq_jobs_pending_key",
            ["type", "key"],
            unique=True,
            sqlite_where=sa.text("status = 'pending'"),
            postgresql_where=sa.text("status = 'pending'"),
        )
        batch_op.create_index(
            "uq_jobs_running_exclusive_key",
            ["exclusive_key"],
            unique=True,
            sqlite_where=sa.text("status = 'running'"),
            postgresql_where=sa.text("status = 'running'"),
        )

    op.create_table(
        "workers",
        sa.Column("id", words(36), nullable=False),
        sa.Column("host", Words, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index("ix_jobs_status_priority_id", "jobs", ["status", sa.text("priority DESC"), "id"])
