"""What every command begins with: the settings, and the data they name, opened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from stoat_ferret.errors import JobNotFoundError, StorageError
from stoat_ferret.settings import Settings, load_settings

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime


def quiet_settings(data_dir: Path | None) -> Settings:
    """Give the settings of a command that talks to a person: of the log only errors, unless something else is set.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    level = None if "STOAT_LOG_LEVEL" in os.environ else "error"
    return load_settings(data_dir=data_dir, log_level=level)


@contextmanager
def opened(settings: Settings, *, create: bool = False) -> Iterator["Runtime"]:
    """Open the data; without `create` only where there is some, so that a misspelt folder makes no empty library.

    Raises:
        StorageError: there is no library, or it cannot be used.
    """
    from stoat_ferret.log import configure_logging
    from stoat_ferret.runtime import open_runtime

    if not create and not settings.library_database.exists():
        msg = (
            f"There is no library in {settings.data_dir}. Make one with `stoat scan FOLDER`, "
            "or name another folder with --data-dir."
        )
        raise StorageError(msg)
    configure_logging(settings)
    runtime = open_runtime(settings)
    try:
        yield runtime
    finally:
        runtime.close()


def canonical_job_id(text: str) -> str:
    """Give an id as it is stored.

    Raises:
        JobNotFoundError: it is not a UUID, so there cannot be such a job.
    """
    try:
        return str(UUID(text))
    except ValueError as error:
        msg = f"There is no job with the id {text[:100]!r}: it is not a UUID. `stoat jobs list` shows the ids."
        raise JobNotFoundError(msg) from error
