"""Times as the API writes them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_microseconds(value: int) -> datetime:
    """Give a time, exactly; it is written as RFC 3339 in UTC with `Z`."""
    return EPOCH + timedelta(microseconds=value)


def from_microseconds_or_none(value: int | None) -> datetime | None:
    """Give a time, or None for None."""
    return None if value is None else from_microseconds(value)
