"""First schema."""

import sqlalchemy as sa
from alembic import op

from stoat_ferret.db.columns import RowId, Whole, Words, words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("seq", RowId, autoincrement=False, nullable=False),
        sa.Column("kind", words(16), nullable=False),
        sa.Column("video_id", words(36), nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("path", Words, nullable=False),
        sa.Column("state", words(16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "scan_costs",
        sa.Column("job_id", words(36), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_scan_costs")),
    )
    op.create_table(
        "gone",
        sa.Column("job_id", words(36), nullable=False),
        sa.Column("video_pk", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "video_pk", name=op.f("pk_gone")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_claims",
        sa.Column("job_id", words(36), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("token", words(36), nullable=False),
        sa.Column("batches", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_claims")),
    )
    op.create_table(
        "ledger",
        sa.Column("job_id", words(36), nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", words(16), nullable=False),
        sa.Column("folder_pk", sa.BigInteger(), nullable=True),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("code", words(32), nullable=True),
        sa.Column("reason", Words, nullable=True),
        sa.Column("video_id", words(36), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "path_bytes", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "libraries",
        sa.Column("id", words(36), nullable=False),
        sa.Column("name", Words, nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("path", Words, nullable=False),
        sa.Column("max_loss_fraction", sa.Float(), nullable=False),
        sa.Column("state", words(16), nullable=False),
        sa.Column("video_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_scan_job_id", words(36), nullable=True),
        sa.Column("last_scan_at", sa.BigInteger(), nullable=True),
        sa.Column("lost_from", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_libraries")),
        sa.UniqueConstraint("path_bytes", name=op.f("uq_libraries_path_bytes")),
    )
    op.create_table(
        "folders",
        sa.Column("pk", RowId, nullable=False),
        sa.Column("library_id", words(36), nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("unchanged_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reject_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_folders_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_folders")),
        sa.UniqueConstraint("path_bytes", name=op.f("uq_folders_path_bytes")),
    )
    with op.batch_alter_table("folders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_folders_library_id"), ["library_id"], unique=False)

    op.create_table(
        "rejects",
        sa.Column("pk", RowId, nullable=False),
        sa.Column("folder_pk", RowId, nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("outcome", words(16), nullable=False),
        sa.Column("code", words(32), nullable=False),
        sa.Column("reason", Words, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["folder_pk"], ["folders.pk"], name=op.f("fk_rejects_folder_pk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_rejects")),
        sa.UniqueConstraint("path_bytes", name=op.f("uq_rejects_path_bytes")),
    )
    with op.batch_alter_table("rejects", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rejects_folder_pk"), ["folder_pk"], unique=False)

    op.create_table(
        "videos",
        sa.Column("pk", RowId, nullable=False),
        sa.Column("id", words(36), nullable=False),
        sa.Column("library_id", words(36), nullable=False),
        sa.Column("folder_pk", RowId, nullable=False),
        sa.Column("path_bytes", sa.LargeBinary(), nullable=False),
        sa.Column("path", Words, nullable=False),
        sa.Column("filename", Words, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("state", words(16), nullable=False),
        sa.Column("missing_since", sa.BigInteger(), nullable=True),
        sa.Column("title", Words, nullable=True),
        sa.Column("duration", sa.Float(), nullable=True),
        sa.Column("container", Words, nullable=True),
        sa.Column("width", Whole, nullable=True),
        sa.Column("height", Whole, nullable=True),
        sa.Column("rotation", Whole, nullable=True),
        sa.Column("display_width", Whole, nullable=True),
        sa.Column("display_height", Whole, nullable=True),
        sa.Column("video_codec", Words, nullable=True),
        sa.Column("video_profile", Words, nullable=True),
        sa.Column("pixel_format", Words, nullable=True),
        sa.Column("frame_rate", Words, nullable=True),
        sa.Column("frame_rate_float", sa.Float(), nullable=True),
        sa.Column("vfr", sa.Boolean(), nullable=True),
        sa.Column("bit_rate", sa.BigInteger(), nullable=True),
        sa.Column("hdr", words(16), nullable=True),
        sa.Column("audio_codec", Words, nullable=True),
        sa.Column("audio_channels", Whole, nullable=True),
        sa.Column("created_at_in_camera", sa.BigInteger(), nullable=True),
        sa.Column("fingerprint", words(32), nullable=True),
        sa.Column("content_id", Words, nullable=True),
        sa.Column("probe_level", words(8), nullable=False),
        sa.Column("probe_error", Words, nullable=True),
        sa.Column("probe_error_code", words(32), nullable=True),
        sa.ForeignKeyConstraint(["folder_pk"], ["folders.pk"], name=op.f("fk_videos_folder_pk")),
        sa.ForeignKeyConstraint(
            ["library_id"], ["libraries.id"], name=op.f("fk_videos_library_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_videos")),
        sa.UniqueConstraint("id", name=op.f("uq_videos_id")),
        sa.UniqueConstraint("path_bytes", name=op.f("uq_videos_path_bytes")),
    )
    with op.batch_alter_table("videos", schema=None) as batch_op:
        batch_op.create_index("ix_videos_added_at_id", ["added_at", "id"], unique=False)
        batch_op.create_index("ix_videos_filename_id", ["filename", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_videos_fingerprint"), ["fingerprint"], unique=False)
        batch_op.create_index(batch_op.f("ix_videos_folder_pk"), ["folder_pk"], unique=False)
        batch_op.create_index("ix_videos_modified_at_id", ["modified_at", "id"], unique=False)
        batch_op.create_index("ix_videos_size_id", ["size", "id"], unique=False)

    op.create_table(
        "video_details",
        sa.Column("video_pk", RowId, nullable=False),
        sa.Column("streams", sa.JSON(), nullable=False),
        sa.Column("chapters", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_pk"], ["videos.pk"], name=op.f("fk_video_details_video_pk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_pk", name=op.f("pk_video_details")),
    )
    op.create_table(
        "video_texts",
        sa.Column("video_pk", RowId, nullable=False),
        sa.Column("folded", Words, nullable=False),
        sa.ForeignKeyConstraint(["video_pk"], ["videos.pk"], name=op.f("fk_video_texts_video_pk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video_pk", name=op.f("pk_video_texts")),
    )
    op.create_index("ix_videos_duration_id", "videos", [sa.text("(duration IS NULL)"), "duration", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            'CREATE TABLE video_grams (video_pk BIGINT NOT NULL, grams TEXT[] COLLATE "C" NOT NULL, '
            "CONSTRAINT pk_video_grams PRIMARY KEY (video_pk), "
            "CONSTRAINT fk_video_grams_video_pk FOREIGN KEY(video_pk) REFERENCES videos (pk) ON DELETE CASCADE)"
        )
        op.execute("CREATE INDEX ix_video_grams_grams ON video_grams USING gin (grams)")
        return
    op.execute(
        "CREATE VIRTUAL TABLE video_grams USING fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii')"
    )
