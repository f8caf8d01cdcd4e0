"""Volumes, moves and former places, what people set, whole contents' hashes; two videos may share a path over time."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import Json, RowId, Whole, Words, words

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PRESENT = sa.text("state <> 'missing'")


def upgrade() -> None:
    _libraries()
    _videos()
    _new_tables()
    op.add_column("ledger", sa.Column("from_path_bytes", sa.LargeBinary(), nullable=True))
    op.add_column("gone", sa.Column("reason", Words, nullable=True))
    op.create_index("ix_rejects_inode", "rejects", ["inode"])
    op.create_index("ix_changes_video_id", "changes", ["video_id"])
    op.add_column(
        "change_numbers", sa.Column("compacted", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )


def _libraries() -> None:
    op.add_column("libraries", sa.Column("ignore", Json, server_default=sa.text("'[]'"), nullable=False))
    op.add_column("libraries", sa.Column("follow_symlinks", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("libraries", sa.Column("watch", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("libraries", sa.Column("watching", words(16), nullable=True))
    op.add_column("libraries", sa.Column("watching_reason", Words, nullable=True))
    op.add_column("libraries", sa.Column("settle_seconds", sa.Float(), server_default=sa.text("5"), nullable=False))
    op.add_column("libraries", sa.Column("keep_missing_days", sa.Float(), nullable=True))


def _videos() -> None:
    op.add_column("videos", sa.Column("birth_ns", sa.BigInteger(), nullable=True))
    op.add_column("videos", sa.Column("probe_error_at", sa.BigInteger(), nullable=True))
    op.add_column("videos", sa.Column("own_title", Words, nullable=True))
    op.add_column("videos", sa.Column("notes", Words, nullable=True))
    op.add_column("videos", sa.Column("rating", Whole, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("uq_videos_path_bytes", "videos")
    else:
        _rebuild_without_the_constraint()
    op.create_index("ix_videos_path_bytes", "videos", ["path_bytes"])
    op.create_index("ix_videos_inode_size_mtime_ns", "videos", ["inode", "size", "mtime_ns"])
    op.create_index(
        "uq_videos_present_path",
        "videos",
        ["path_bytes"],
        unique=True,
        sqlite_where=PRESENT,
        postgresql_where=PRESENT,
    )


def _rebuild_without_the_constraint() -> None:
    """SQLite cannot drop one: the table is made anew and takes the old one's place (lang_altertable.html, 7).

    Foreign keys are not enforced meanwhile; rows keep their keys, so that the other tables' references stay right.
    """
    connection = op.get_bind()
    ddl: str = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'videos'").scalar_one()
    indexes = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'videos' AND type = 'index' AND sql IS NOT NULL"
    ).scalars()
    statements = list(indexes)
    constraint = "CONSTRAINT uq_videos_path_bytes UNIQUE (path_bytes)"
    before, found, after = ddl.partition(constraint)
    if not found:
        msg = "the table of videos is not as the versions before made it"
        raise RuntimeError(msg)
    body = before.rstrip().removesuffix(",") + after
    connection.exec_driver_sql(body.replace("videos", "videos_anew", 1))
    connection.exec_driver_sql("INSERT INTO videos_anew SELECT * FROM videos")
    connection.exec_driver_sql("DROP TABLE videos")
    connection.exec_driver_sql("ALTER TABLE videos_anew RENAME TO videos")
    for statement in statements:
        connection.exec_driver_sql(statement)


def _new_tables() -> None:
    op.create_table(
        "volumes",
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("library_id", words(36), nullable=False),
        sa.Column("source", Words, nullable=False),
        sa.Column("kind", Words, nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("root", Words, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("path_bytes", name="pk_volumes"),
        sa.ForeignKeyConstraint(["library_id"], ["libraries.id"], name="fk_volumes_library_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_volumes_library_id", "volumes", ["library_id"])
    op.create_table(
        "labels",
        sa.Column("video_pk", RowId, nullable=False),
        sa.Column("label", Words, nullable=False),
        sa.PrimaryKeyConstraint("video_pk", "label", name="pk_labels"),
        sa.ForeignKeyConstraint(["video_pk"], ["videos.pk"], name="fk_labels_video_pk", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_labels_label", "labels", ["label"])
    op.create_table(
        "former_places",
        sa.Column("pk", RowId, nullable=False),
        sa.Column("video_pk", RowId, nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("path", Words, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name="pk_former_places"),
        sa.ForeignKeyConstraint(["video_pk"], ["videos.pk"], name="fk_former_places_video_pk", ondelete="CASCADE"),
    )
    op.create_index("ix_former_places_video_pk", "former_places", ["video_pk"])
    op.create_table(
        "checksums",
        sa.Column("video_pk", RowId, nullable=False),
        sa.Column("digest", words(128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("hashed_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("damaged_at", sa.BigInteger(), nullable=True),
        sa.Column("found", words(128), nullable=True),
        sa.PrimaryKeyConstraint("video_pk", name="pk_checksums"),
        sa.ForeignKeyConstraint(["video_pk"], ["videos.pk"], name="fk_checksums_video_pk", ondelete="CASCADE"),
    )
    op.create_index("ix_checksums_digest", "checksums", ["digest"])
    op.create_index("ix_checksums_checked_at", "checksums", ["checked_at"])
