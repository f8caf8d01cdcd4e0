"""Column types that mean the same in SQLite and in Postgres, and how constraints are named.

What files say of themselves may hold anything. Postgres takes neither NUL characters in text nor NaN in JSON, and no
database takes half a surrogate pair, so these types put something else in their place, in both databases alike.
"""

import math
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import JSON, BigInteger, Dialect, Integer, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

RowId = BigInteger().with_variant(Integer, "sqlite")
"""An INTEGER PRIMARY KEY is SQLite's rowid; elsewhere the same column is a bigint."""

Whole = BigInteger().with_variant(Integer, "sqlite")
"""A whole number of 64 bits: what files claim of their width or channels may need more than Postgres's integer has."""

_ODD_IN_JSON = ("\\u0000", "NaN", "Infinity")
_REPLACED = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}


def storable(text: str) -> str:
    """Give the text with U+FFFD for what a database cannot hold: NUL, and halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.translate(_REPLACED)
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def storable_json(value: Any) -> Any:
    """Give the JSON value with each of its texts made storable, and null for numbers that JSON does not have."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {
                storable(key): item if item is None or type(item) is int else storable_json(item)
                for key, item in value.items()
            }
        case list() | tuple():
            return [storable_json(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


class StorableText(TypeDecorator[str]):
    """Text that sorts by code point, as SQLite's does, whatever the locale of a Postgres is."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Give the type that a database knows."""
        collation = "C" if dialect.name == "postgresql" else None
        # Not adapted to the dialect as yet: of that, no TEXT comes but a VARCHAR.
        return Text(collation=collation) if self.length is None else String(self.length, collation)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Make the text storable."""
        return None if value is None else storable(value)


def _quickly(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Spare a value the walk through all its parts where its text shows that each of them is storable as it is."""

    def process(value: Any) -> Any:
        if value is None:
            return plain(value)
        try:
            written = to_json(value).decode()
        except PydanticSerializationError:  # halves of surrogate pairs
            return plain(value)
        return plain(value) if any(odd in written for odd in _ODD_IN_JSON) else written

    return process


class StorableJson(TypeDecorator[Any]):
    """JSON, kept as it was written."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Make the value storable."""
        return storable_json(value)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Give what turns values into what the driver takes."""
        plain = super().bind_processor(dialect)
        return plain if plain is None or dialect.name != "sqlite" else _quickly(plain)


Words = StorableText()
Json = StorableJson()


def words(length: int) -> TypeEngine[str]:
    """Give the same as `Words` with a largest length, in characters."""
    return StorableText(length)
