"""A library's missing videos are counted, of which there are few, instead of those that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MISSING = sa.text("state = 'missing'")


def upgrade() -> None:
    op.create_index(
        "ix_videos_missing_library_id", "videos", ["library_id"], sqlite_where=MISSING, postgresql_where=MISSING
    )
    op.drop_index("ix_videos_present_library_id", "videos")
