"""The whole program on Postgres: what is built, what is said where the server is not there, and who takes which job."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL

from stoat_ferret import __version__
from stoat_ferret.api.app import create_app
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.main import main
from stoat_ferret.errors import ConfigurationError, StorageError, StorageUnreachableError
from stoat_ferret.jobs.model import JobRequest, JobStatus, Wanted
from stoat_ferret.jobs.postgres import PostgresJobQueue
from stoat_ferret.runtime import Runtime, has_library, open_runtime
from stoat_ferret.settings import Settings
from tests.factories import make_settings
from tests.postgres import PostgresServer

NOBODY_THERE = "postgresql://ann:secret@127.0.0.1:1/footage"


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[URL]:
    """Give a database without anything in it."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, url: URL) -> Settings:
    """Give settings that name it."""
    return make_settings(tmp_path / "data", database_url=url.render_as_string(hide_password=False))


@pytest.mark.postgres
def test_everything_is_made_on_the_server(settings: Settings) -> None:
    """Both schemas; no database file; and it can be opened again."""
    assert not has_library(settings)
    for _ in range(2):
        runtime = open_runtime(settings)
        try:
            assert isinstance(runtime.queue, PostgresJobQueue)
            assert runtime.repository.libraries() == []
            assert runtime.supervisor() is not None
        finally:
            runtime.close()
    assert has_library(settings)
    assert not settings.library_database.exists()
    assert not settings.jobs_database.exists()


@pytest.mark.postgres
def test_a_worker_takes_only_jobs_whose_folder_it_reaches(settings: Settings) -> None:
    """And says what it is."""
    runtime = open_runtime(settings.model_copy(update={"worker_roots": ("/near=/mnt/near",)}))

    async def work(runtime: Runtime) -> None:
        away = (await runtime.queue.submit(JobRequest(type="x", payload={"n": 1}, place="/away"))).job
        near = (await runtime.queue.submit(JobRequest(type="x", payload={"n": 2}, place="/near/a"))).job
        stop = asyncio.Event()
        worker = asyncio.create_task(runtime.worker().run(stop))
        ended = await runtime.queue.wait(near.id, 60)
        (known,) = await runtime.queue.live_workers()
        stop.set()
        await worker
        assert ended.error_code == "UNKNOWN_JOB_TYPE", "it was taken, though nobody does such"
        assert (known.version, known.slots, known.places) == (__version__, settings.worker_slots, ("/near",))
        assert (await runtime.queue.get(away.id)).status is JobStatus.PENDING
        found = await runtime.queue.claim("other", Wanted())
        assert found is not None
        assert found.job.id == away.id

    try:
        # Several event loops, one after the other, as commands make them.
        asyncio.run(work(runtime))
        assert len(asyncio.run(runtime.queue.list()).jobs) == 2
    finally:
        runtime.close()


@pytest.mark.postgres
def test_health_names_the_database(settings: Settings, url: URL) -> None:
    """The one that is used."""
    with TestClient(create_app(settings, supervise_worker=False), base_url="http://127.0.0.1") as client:
        database = client.get("/health/ready").json()["checks"]["database"]
    assert database["ok"]
    assert str(url.database) in database["detail"]


@pytest.mark.postgres
def test_a_command_that_reads_makes_no_library(
    settings: Settings, url: URL, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt address is found out."""
    address = url.render_as_string(hide_password=False)
    status = main(["jobs", "list", "--database-url", address, "--data-dir", str(settings.data_dir)])
    assert status == ExitStatus.ENVIRONMENT
    complaint = capsys.readouterr().err
    assert f"There is no library in {url.render_as_string(hide_password=True)}" in complaint
    assert "--database-url" in complaint
    assert not has_library(settings)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Without the password, and with what to do."""
    settings = make_settings(tmp_path, database_url=NOBODY_THERE)
    for call in (open_runtime, has_library):
        with pytest.raises(StorageUnreachableError) as error:
            call(settings)
        assert "ann:***@127.0.0.1:1/footage" in error.value.message
        assert "STOAT_DATABASE_URL" in error.value.message
        assert "tried again" not in error.value.message
        assert "secret" not in error.value.message


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["worker"], ["scan", "."], ["doctor"]])
def test_every_command_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a sentence, and with a status that says where to look."""
    monkeypatch.setenv("STOAT_DATA_DIR", str(tmp_path))
    status = main([*command, "--database-url", NOBODY_THERE])
    shown = capsys.readouterr()
    assert status == (ExitStatus.FAILED if command == ["doctor"] else ExitStatus.ENVIRONMENT)
    assert "cannot be reached" in shown.out + shown.err
    assert "secret" not in shown.out + shown.err


def test_addresses_and_roots_that_are_none_are_refused(tmp_path: Path) -> None:
    """Before anything is made."""
    for field, value in (("database_url", "mysql://u:secret@h/x"), ("worker_roots", ("footage",))):
        with pytest.raises((ConfigurationError, StorageError)) as error:
            open_runtime(make_settings(tmp_path / "data", **{field: value}))
        assert "secret" not in str(error.value)
