"""With what and where a video was filmed, beside its streams and tags."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("video_details", sa.Column("origin", Json, nullable=True))
