"""What went wrong in a database, in the project's own errors: said to people, and told apart by whoever tries again."""

from stoat_ferret.db.reserve import full
from stoat_ferret.errors import StorageBusyError, StorageError, StorageFullError, StorageUnreachableError

BUSY_STATES = ("55P03", "40P01", "40001", "53300", "57014")
"""SQLSTATEs: lock not available, deadlock, serialization failure, too many connections, statement cancelled."""
FULL_STATE = "53100"
GONE_STATES = ("57P01", "57P02", "57P03", "57P05", "25P03")
"""The server shuts down, crashed, is starting, or has ended a session that idled."""


def sqlite_error(error: BaseException | None, name: str) -> StorageError:
    """Give the error that says what SQLite's says.

    Args:
        error: of the driver.
        name: of the database, for people.
    """
    text = str(error)
    if "locked" in text or "busy" in text:
        return StorageBusyError(f"The database {name} is locked by another process. Try again in a few seconds.")
    if "full" in text:
        return StorageFullError(full(name))
    if "readonly" in text:
        return StorageError(
            f"The database {name} can only be read here: its file, its folder or its disk is write-protected. Make it "
            "writable for the user that the service runs as, then try again."
        )
    return StorageError(f"The database {name} could not be used: {text}.")


def postgres_error(error: BaseException | None, name: str, *, cut: bool = False) -> StorageError:
    """Give the error that says what Postgres' says.

    Args:
        error: of the driver.
        name: of the database, for people.
        cut: the connection is known to be gone.
    """
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    state = getattr(error, "sqlstate", None) or ""
    text = str(error).strip().partition("\n")[0]
    if state in BUSY_STATES:
        return StorageBusyError(f"The database {name} is busy ({text}). Try again in a few seconds.")
    if state == FULL_STATE:
        return StorageFullError(f"The disk of the database {name} is full. Free some space on it and try again.")
    if cut or state in GONE_STATES or state.startswith("08") or not state:
        return StorageUnreachableError(f"The database {name} cannot be reached: {text}. It is tried again by itself.")
    return StorageError(f"The database {name} could not be used: {text}.")
