"""What every test may ask for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings

from stoat_ferret.api.app import create_app
from stoat_ferret.db.engine import Database
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.settings import Settings
from tests.factories import LONG_AGO_NS, Stage, make_catalogue, make_settings
from tests.media_files import AudioTrack, place_clip, stream_without_picture, truncate
from tests.postgres import postgres, postgres_database  # noqa: F401

BASE = "http://127.0.0.1"

# Tests make the files that they scan, and need not wait until those count as written; what is about that says so.
os.environ.setdefault("STOAT_SETTLE_SECONDS", "0")

# Machines that run tests are busy: how long an example takes says nothing.
hypothesis_settings.register_profile("unhurried", deadline=None)
hypothesis_settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def logging_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep commands that run in this process from setting up its logging.

    They would point it at the stream a test captures; modules keep their loggers, and that stream is closed by the
    time another test has something to log.
    """
    monkeypatch.setattr("stoat_ferret.log.configure_logging", lambda _settings: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose data lie in the test's own folder."""
    return make_settings(tmp_path / "data")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Database]:
    """An empty catalogue."""
    database = make_catalogue(tmp_path / "library.db")
    yield database
    database.close()


@pytest.fixture
def repository(catalogue: Database) -> LibraryRepository:
    """The same catalogue, as the program asks it."""
    return LibraryRepository(catalogue)


@pytest.fixture
def stage(catalogue: Database, settings: Settings) -> Stage:
    """Scans that run at once, with a pretended probe."""
    return Stage(catalogue, settings)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """The application, with jobs that run where they are submitted."""
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        yield client


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny real files: two videos, one of them in a sub-folder, a cut-off one, one with sound only."""
    folder = tmp_path_factory.mktemp("clips")
    place_clip(folder / "beach.mp4", title="A day at the beach", tags={"comment": "été"})
    place_clip(folder / "東京" / "tower.mkv", container="mkv", audio=(AudioTrack(),), seed=1)
    place_clip(folder / "cut.mp4", fast_start=False)
    truncate(folder / "cut.mp4", 0.5)
    os.utime(folder / "cut.mp4", ns=(LONG_AGO_NS, LONG_AGO_NS))  # or it might be a copy that goes on
    stream_without_picture(folder / "sound.mp4")
    return folder
