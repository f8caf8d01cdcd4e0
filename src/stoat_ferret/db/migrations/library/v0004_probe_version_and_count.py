"""Which probe examined a file, so that a later one that says more looks at it again; and a library's videos counted."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PRESENT = sa.text("state <> 'missing'")


def upgrade() -> None:
    for table in ("videos", "rejects"):
        op.add_column(table, sa.Column("probe_version", Whole, server_default=sa.text("1"), nullable=False))
    op.create_index(
        "ix_videos_present_library_id", "videos", ["library_id"], sqlite_where=PRESENT, postgresql_where=PRESENT
    )
