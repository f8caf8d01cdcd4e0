"""The libraries that a place lies in: asked of every scan before it is put on the queue."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from stoat_ferret.db.prepared import Prepared
from stoat_ferret.db.tables import libraries
from stoat_ferret.library.models import Library

PLACES = tuple(f"place_{number}" for number in range(16))
"""One parameter each, so that one statement does for all: few folders lie deeper."""
LIBRARIES_AT = Prepared(select(libraries).where(libraries.c.path_bytes.in_([bindparam(name) for name in PLACES])))


def libraries_at(connection: Connection, places: Sequence[bytes]) -> list[Library]:
    """Give the libraries whose folders are among some places, the longest path first."""
    found: list[Mapping[str, Any]] = []
    for start in range(0, len(places), len(PLACES)):
        some = places[start : start + len(PLACES)]
        found += LIBRARIES_AT.rows(connection, **dict(zip_longest(PLACES, some)))  # null is no library's path
    return sorted(map(library_from_row, found), key=lambda library: len(library.path_bytes), reverse=True)


def library_from_row(row: Mapping[str, Any] | RowMapping) -> Library:
    """Build a library from its row."""
    values = {name: row[name] for name in Library.__dataclass_fields__}
    return Library(**values | {"ignore": tuple(values["ignore"])})
