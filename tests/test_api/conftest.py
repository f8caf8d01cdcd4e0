"""The application, as tests of jobs want it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.api.app import create_app
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.settings import Settings
from tests.conftest import BASE


@pytest.fixture
def waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application with a queue that only takes jobs."""

    async def nothing(_queue: InMemoryJobQueue) -> None:
        return None

    monkeypatch.setattr(InMemoryJobQueue, "run_pending", nothing)
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        yield client
