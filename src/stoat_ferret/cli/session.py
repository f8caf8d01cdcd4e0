"""What every command begins with: the settings, and the data they name, opened."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from stoat_ferret.errors import (
    ConfigurationError,
    JobNotFoundError,
    MediaError,
    StorageError,
    UnsupportedMediaLibraryError,
)
from stoat_ferret.settings import Settings, load_settings

MEDIA_SECONDS = 30.0

if TYPE_CHECKING:
    from stoat_ferret.runtime import Runtime


def quiet_settings(data_dir: Path | None, database_url: str | None = None) -> Settings:
    """Give the settings of a command that talks to a person: of the log only errors, unless something else is set.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    level = None if "STOAT_LOG_LEVEL" in os.environ else "error"
    return load_settings(data_dir=data_dir, database_url=database_url, log_level=level)


@contextmanager
def opened(settings: Settings, *, create: bool = False) -> Iterator["Runtime"]:
    """Open the data; without `create` only where there is some, so that a misspelt folder makes no empty library.

    Raises:
        StorageError: there is no library, or it cannot be used.
    """
    from stoat_ferret.log import configure_logging
    from stoat_ferret.pauses import spare_what_is_loaded
    from stoat_ferret.runtime import has_library, open_runtime

    if not create and not has_library(settings):
        option = "--data-dir" if settings.database_url is None else "--database-url"
        place = "database" if settings.database_url is not None else "folder"
        msg = (
            f"There is no library in {data_place(settings)}. Make one with `stoat scan FOLDER`, "
            f"or name another {place} with {option}."
        )
        raise StorageError(msg)
    configure_logging(settings)
    runtime = open_runtime(settings)
    spare_what_is_loaded()
    try:
        yield runtime
    finally:
        runtime.close()


def refuse_unsafe_media(settings: Settings) -> None:
    """Make sure that the libraries which read files made by others are safe with them, before anybody relies on it.

    A process loads them, for which others can do something else. Whatever else keeps them from working, the catalogue
    can be served without; `/health/ready` and `stoat doctor` tell.

    Raises:
        UnsupportedMediaLibraryError: they are not.
    """
    from stoat_ferret.media.grabber import FrameGrabber

    with FrameGrabber(memory_limit_bytes=settings.probe_memory_mib << 20) as grabber:
        try:
            grabber.check(MEDIA_SECONDS)
        except UnsupportedMediaLibraryError:
            raise
        except (MediaError, ConfigurationError):
            return


def data_place(settings: Settings) -> str:
    """Give the folder or database that holds the library, without a password.

    Raises:
        ConfigurationError: the database's address cannot be read.
    """
    if settings.database_url is None:
        return str(settings.data_dir)
    from stoat_ferret.db.engine import postgres_url, shown

    return shown(postgres_url(settings.database_url.get_secret_value()))


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
