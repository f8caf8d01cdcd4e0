"""The one place where objects are wired."""

from pathlib import Path

import pytest

from stoat_ferret.api.services.maintenance import MAINTENANCE_JOB_TYPE
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE
from stoat_ferret.errors import StorageError
from stoat_ferret.jobs.local import LocalJobQueue
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.runtime import open_runtime
from tests.factories import make_settings


def test_everything_is_made_where_the_settings_say(tmp_path: Path) -> None:
    """The data directory, for its owner only, with both databases; and it can be opened again."""
    settings = make_settings(tmp_path / "some" / "where")
    for _ in range(2):
        runtime = open_runtime(settings)
        try:
            assert isinstance(runtime.queue, LocalJobQueue)
            assert {SCAN_JOB_TYPE, MAINTENANCE_JOB_TYPE} <= set(runtime.handlers)
            assert runtime.repository.libraries() == []
            assert runtime.worker().id
            assert runtime.supervisor() is not None
        finally:
            runtime.close()
    assert settings.library_database.is_file()
    assert settings.jobs_database.is_file()
    assert settings.data_dir.stat().st_mode & 0o077 == 0


def test_with_jobs_in_memory_no_job_is_kept(tmp_path: Path) -> None:
    """Only the catalogue is."""
    settings = make_settings(tmp_path)
    runtime = open_runtime(settings, in_memory_jobs=True)
    try:
        assert isinstance(runtime.queue, InMemoryJobQueue)
        assert runtime.job_store is None
        assert not settings.jobs_database.exists()
    finally:
        runtime.close()


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """With its name and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"/file/data cannot be made: .*--data-dir"):
        open_runtime(make_settings(tmp_path / "file" / "data"))


def test_a_database_that_is_none_is_refused(tmp_path: Path) -> None:
    """Rather than overwritten."""
    settings = make_settings(tmp_path)
    settings.library_database.write_bytes(b"not a database, by far" * 100)
    with pytest.raises(StorageError, match=r"library\.db could not be used"):
        open_runtime(settings)
    assert settings.library_database.read_bytes().startswith(b"not a database")
