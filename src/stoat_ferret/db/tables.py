"""The catalogue's schema, once: library.db, or the schema `stoat_library` on Postgres. Migrations build it.

Every `*_at` and `*_since` column holds microseconds since 1970-01-01 UTC; `mtime_ns` holds nanoseconds. Paths are
bytes, exactly as the file system gives them; a `path` beside `path_bytes` is the same for reading, not for use.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    column,
    event,
    false,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from stoat_ferret.db.columns import NAMING, Json, RowId, Whole, Words, words

catalogue = MetaData(naming_convention=NAMING)

libraries = Table(
    "libraries",
    catalogue,
    Column("id", words(36), primary_key=True),
    Column("name", Words, nullable=False),
    Column("path_bytes", LargeBinary, nullable=False, unique=True),
    Column("path", Words, nullable=False),
    Column("max_loss_fraction", Float, nullable=False),
    Column("state", words(16), nullable=False),
    Column("video_count", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", BigInteger, nullable=False),
    Column("last_scan_job_id", words(36)),
    Column("last_scan_at", BigInteger),
    Column("lost_from", BigInteger),  # of how many videos too many were gone, until a scan settles that
    Column("schedule", Words),  # when it is scanned by itself, as a line of cron
    Column("ignore", Json, nullable=False, server_default=text("'[]'")),  # patterns of gitignore, besides the defaults
    Column("follow_symlinks", Boolean, nullable=False, server_default=false()),
    Column("watch", Boolean, nullable=False, server_default=false()),
    Column("watching", words(16)),  # how it is watched now: events, polling; null: not at all
    Column("watching_reason", Words),  # why by polling, in a sentence
    Column("settle_seconds", Float, nullable=False, server_default=text("5")),
    Column("keep_missing_days", Float),  # null: missing entries are kept for ever
)

# Which volume lay where when it was last scanned: one row for each library's folder, and for each mount below it.
volumes = Table(
    "volumes",
    catalogue,
    Column("path_bytes", LargeBinary, primary_key=True),
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("source", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("root", Words, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

folders = Table(
    "folders",
    catalogue,
    Column("pk", RowId, primary_key=True),
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("path_bytes", LargeBinary, nullable=False, unique=True),
    Column("digest", LargeBinary),  # null: compare file by file
    Column("unchanged_count", BigInteger, nullable=False, server_default=text("0")),  # of the listing with that digest
    Column("reject_count", BigInteger, nullable=False, server_default=text("0")),  # likewise
)

videos = Table(
    "videos",
    catalogue,
    Column("pk", RowId, primary_key=True),
    Column("id", words(36), nullable=False, unique=True),
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False),
    Column("folder_pk", ForeignKey("folders.pk"), nullable=False, index=True),
    Column("path_bytes", LargeBinary, nullable=False),  # the last one known, where it is missing
    Column("path", Words, nullable=False),
    Column("filename", Words, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("device", BigInteger, nullable=False),
    Column("birth_ns", BigInteger),  # when the file was made, where the file system says (statx)
    Column("modified_at", BigInteger, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("state", words(16), nullable=False),  # available, missing, broken
    Column("missing_since", BigInteger),
    Column("title", Words),
    Column("duration", Float),
    Column("container", Words),
    Column("width", Whole),
    Column("height", Whole),
    Column("rotation", Whole),
    Column("display_width", Whole),
    Column("display_height", Whole),
    Column("video_codec", Words),
    Column("video_profile", Words),
    Column("pixel_format", Words),
    Column("frame_rate", Words),
    Column("frame_rate_float", Float),
    Column("vfr", Boolean),
    Column("bit_rate", BigInteger),
    Column("hdr", words(16)),
    Column("audio_codec", Words),
    Column("audio_channels", Whole),
    Column("created_at_in_camera", BigInteger),
    Column("fingerprint", words(32), index=True),
    Column("content_id", Words),
    Column("probe_level", words(8), nullable=False),
    Column("probe_version", Whole, nullable=False, server_default=text("1")),  # `media.info.PROBE_VERSION` of that time
    Column("probe_error", Words),
    Column("probe_error_code", words(32)),
    Column("probe_error_at", BigInteger),
    # What a person has set. `title` is what the file says.
    Column("own_title", Words),
    Column("notes", Words),
    Column("rating", Whole),
    # Two files are never at one path, but a missing one may have been where another is now.
    Index(
        "uq_videos_present_path",
        "path_bytes",
        unique=True,
        sqlite_where=text("state <> 'missing'"),
        postgresql_where=text("state <> 'missing'"),
    ),
    Index("ix_videos_path_bytes", "path_bytes"),
    # Each scan counts them, twice; how many there are in all stands with the library.
    Index(
        "ix_videos_missing_library_id",
        "library_id",
        sqlite_where=text("state = 'missing'"),
        postgresql_where=text("state = 'missing'"),
    ),
    Index("ix_videos_inode_size_mtime_ns", "inode", "size", "mtime_ns"),  # where a file that moved was before
    # One index per sort order, each ending in the tie-breaker, so that a page is a range scan.
    Index("ix_videos_filename_id", "filename", "id"),
    Index("ix_videos_added_at_id", "added_at", "id"),
    Index("ix_videos_modified_at_id", "modified_at", "id"),
    Index("ix_videos_size_id", "size", "id"),
    Index("ix_videos_duration_id", text("(duration IS NULL)"), "duration", "id"),
)

labels = Table(
    "labels",
    catalogue,
    Column("video_pk", ForeignKey("videos.pk", ondelete="CASCADE"), primary_key=True),
    Column("label", Words, primary_key=True),
    Index("ix_labels_label", "label"),
    sqlite_with_rowid=False,
)

# Where a video was before, newest last; where it is stands in its own row.
former_places = Table(
    "former_places",
    catalogue,
    Column("pk", RowId, primary_key=True),
    Column("video_pk", ForeignKey("videos.pk", ondelete="CASCADE"), nullable=False, index=True),
    Column("path_bytes", LargeBinary, nullable=False),
    Column("path", Words, nullable=False),
    Column("until", BigInteger, nullable=False),
)

# Hashes of whole contents, and of what the file was when it was hashed.
checksums = Table(
    "checksums",
    catalogue,
    Column("video_pk", ForeignKey("videos.pk", ondelete="CASCADE"), primary_key=True),
    Column("digest", words(128), nullable=False, index=True),  # BLAKE3, hexadecimal
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("hashed_at", BigInteger, nullable=False),  # when it was first found so
    Column("checked_at", BigInteger, nullable=False, index=True),  # when it was last found so, or not
    Column("damaged_at", BigInteger),  # since when the content is another, though size and time are the same
    Column("found", words(128)),  # what it is instead; null where it could not be read
)

video_details = Table(
    "video_details",
    catalogue,
    Column("video_pk", ForeignKey("videos.pk", ondelete="CASCADE"), primary_key=True),
    Column("streams", Json, nullable=False),
    Column("chapters", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("origin", Json),  # `library.models.Origin`, what is known of it; null: of an earlier version
)

video_texts = Table(
    "video_texts",
    catalogue,
    Column("video_pk", ForeignKey("videos.pk", ondelete="CASCADE"), primary_key=True),
    Column("folded", Words, nullable=False),
)

# 1- to 3-grams of video_texts.folded, one row a video under its pk: only membership is asked, so in SQLite neither
# positions (detail) nor lengths (columnsize) nor the text itself (content) are stored.
GRAM_TABLES = {
    "sqlite": (
        "CREATE VIRTUAL TABLE video_grams USING fts5(grams, content='', detail=none, columnsize=0, tokenize='ascii')",
    ),
    "postgresql": (
        'CREATE TABLE video_grams (video_pk BIGINT NOT NULL, grams TEXT[] COLLATE "C" NOT NULL, '
        "CONSTRAINT pk_video_grams PRIMARY KEY (video_pk), "
        "CONSTRAINT fk_video_grams_video_pk FOREIGN KEY(video_pk) REFERENCES videos (pk) ON DELETE CASCADE)",
        "CREATE INDEX ix_video_grams_grams ON video_grams USING gin (grams)",
    ),
}
for dialect, statements in GRAM_TABLES.items():
    for statement in statements:
        definition = DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy left its constructor unannotated
        event.listen(video_texts, "after_create", definition.execute_if(dialect=dialect))
video_grams = table("video_grams", column("rowid"), column("video_pk", RowId), column("grams", ARRAY(Text)))
"""In SQLite the key is `rowid`, in Postgres `video_pk`."""

rejects = Table(
    "rejects",
    catalogue,
    Column("pk", RowId, primary_key=True),
    Column("folder_pk", ForeignKey("folders.pk", ondelete="CASCADE"), nullable=False, index=True),
    Column("path_bytes", LargeBinary, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("device", BigInteger, nullable=False),
    Column("outcome", words(16), nullable=False),  # failed, skipped
    Column("code", words(32), nullable=False),
    Column("reason", Words, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("probe_version", Whole, nullable=False, server_default=text("1")),
    Index("ix_rejects_inode", "inode"),
)

ledger = Table(
    "ledger",
    catalogue,
    Column("job_id", words(36), primary_key=True),
    Column("path_bytes", LargeBinary, primary_key=True),
    Column("outcome", words(16), nullable=False),
    Column("folder_pk", BigInteger),
    Column("count", BigInteger, nullable=False, server_default=text("1")),
    Column("code", words(32)),
    Column("reason", Words),
    Column("video_id", words(36)),
    Column("from_path_bytes", LargeBinary),  # where a moved file was before
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What a scan cost, over all its attempts.
scan_costs = Table(
    "scan_costs",
    catalogue,
    Column("job_id", words(36), primary_key=True),
    Column("bytes_read", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
)

gone = Table(
    "gone",
    catalogue,
    Column("job_id", words(36), primary_key=True),
    Column("video_pk", BigInteger, primary_key=True),
    Column("reason", Words),  # why it counts as gone though its file is there: a rule leaves it out
    sqlite_with_rowid=False,
)

changes = Table(
    "changes",
    catalogue,
    Column("seq", RowId, primary_key=True, autoincrement=False),
    Column("kind", words(16), nullable=False),
    Column("video_id", words(36), nullable=False, index=True),
    Column("path_bytes", LargeBinary, nullable=False),
    Column("path", Words, nullable=False),
    Column("state", words(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

# The last number given to a change. A number once given is never given again, whatever becomes of its row, and one that
# was rolled back is given to the next: neither holds of what databases count by themselves.
change_numbers = Table(
    "change_numbers",
    catalogue,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("last", BigInteger, nullable=False),
    # Up to which number rows that a later one supersedes were taken out: nobody can go on from before it.
    Column("compacted", BigInteger, nullable=False, server_default=text("0")),
)

# The fence: a copy of who may write for a job, checked by every batch in its own transaction.
job_claims = Table(
    "job_claims",
    catalogue,
    Column("job_id", words(36), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("token", words(36), nullable=False),
    Column("batches", BigInteger, nullable=False, server_default=text("0")),  # stored by this attempt
)
