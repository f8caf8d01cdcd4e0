"""Opaque cursors for keyset paging: where a page ended, and which query it belongs to."""

import base64
import binascii
import hashlib
import json
from typing import Any

from stoat_ferret.errors import InvalidCursorError


def encode(query: Any, position: list[Any]) -> str:
    """Give a cursor for `position` in the results of `query`; both plain JSON values."""
    text = json.dumps([_tag(query), position], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, query: Any) -> list[Any]:
    """Give the position back.

    Raises:
        InvalidCursorError: the cursor was not made by `encode`, or for another query.
    """
    try:
        tag, position = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        msg = f"The cursor {cursor[:60]!r} is damaged. Start again without one."
        raise InvalidCursorError(msg) from error
    if tag != _tag(query) or not isinstance(position, list):
        msg = f"The cursor {cursor[:60]!r} belongs to another query. Keep the query, or start again without a cursor."
        raise InvalidCursorError(msg)
    return position


def _tag(query: Any) -> str:
    return hashlib.blake2b(json.dumps(query).encode(), digest_size=6).hexdigest()
