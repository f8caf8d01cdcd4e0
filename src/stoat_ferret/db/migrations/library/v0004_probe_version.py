"""Which probe examined a file, so that a later one that says more looks at it again."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Whole

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("videos", "rejects"):
        op.add_column(table, sa.Column("probe_version", Whole, server_default=sa.text("1"), nullable=False))
