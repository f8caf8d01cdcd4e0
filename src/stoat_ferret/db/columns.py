"""Column types that mean the same in SQLite and in Postgres, and how constraints are named."""

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.types import TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

RowId = BigInteger().with_variant(Integer, "sqlite")
"""An INTEGER PRIMARY KEY is SQLite's rowid; elsewhere the same column is a bigint."""

Words = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by code point, as SQLite's does, whatever the locale of a Postgres is."""


def words(length: int) -> TypeEngine[str]:
    """Give the same with a largest length, in characters."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")
