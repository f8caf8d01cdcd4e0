"""Health: whether the process runs, and whether it can do its work."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.errors import ConfigurationError, StorageBusyError
from stoat_ferret.jobs.model import WorkerRecord
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.pool import FrameGrabber


async def somebody(_queue: InMemoryJobQueue) -> tuple[WorkerRecord, ...]:
    return (WorkerRecord(id="w", host="here", pid=4711, started_at=0, seen_at=0),)


def test_the_process_runs(client: TestClient) -> None:
    """200 and nothing else, without a look at anything."""
    response = client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_is_200_when_everything_is_there(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check with what was found."""
    monkeypatch.setattr(InMemoryJobQueue, "live_workers", somebody)
    response = client.get("/health/ready")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ready"
    assert {name: check["ok"] for name, check in body["checks"].items()} == {
        "database": True,
        "worker": True,
        "media_sandbox": True,
    }
    assert body["checks"]["worker"]["facts"]["pids"] == [4711]
    assert body["checks"]["database"]["facts"] == {"libraries": 0}


def test_ready_says_in_words_what_the_sandbox_lacks(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ready all the same: an older kernel has no more to give."""
    monkeypatch.setattr(FrameGrabber, "check", lambda _grabber: {"memory_limit": True, "landlock_read_only": False})
    check = client.get("/health/ready").json()["checks"]["media_sandbox"]
    assert check["ok"]
    assert check["detail"].endswith("does not let it have: no writing and no running of files (Landlock).")
    assert check["facts"] == {"memory_limit": True, "landlock_read_only": False}


def test_ready_is_503_when_something_is_not_and_says_which(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other checks are told all the same."""
    body = client.get("/health/ready")
    assert body.status_code == 503
    assert "No worker" in body.json()["checks"]["worker"]["detail"]

    def fail(error: Exception) -> Any:
        def raise_it(*_arguments: object) -> None:
            raise error

        return raise_it

    async def no_record(_queue: InMemoryJobQueue) -> tuple[WorkerRecord, ...]:
        raise StorageBusyError("jobs.db is locked.")

    monkeypatch.setattr(InMemoryJobQueue, "live_workers", no_record)
    monkeypatch.setattr(LibraryRepository, "libraries", fail(StorageBusyError("library.db is locked.")))
    monkeypatch.setattr(FrameGrabber, "check", fail(ConfigurationError("No process can be started.")))
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert {name: check["detail"] for name, check in response.json()["checks"].items() if not check["ok"]} == {
        "database": "library.db is locked.",
        "worker": "jobs.db is locked.",
        "media_sandbox": "No process can be started.",
    }
