"""A library's schedule, and numbers of changes that neither have gaps nor are given twice."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Words

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("libraries", sa.Column("schedule", Words, nullable=True))
    op.create_table(
        "change_numbers",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_numbers")),
    )
    if op.get_bind().dialect.name == "sqlite":
        # Until now SQLite counted, and remembered the number of a newest row that was deleted.
        op.execute("INSERT INTO change_numbers (id, last) SELECT 1, seq FROM sqlite_sequence WHERE name = 'changes'")
