"""What answers have in common."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

SCAN = "/api/v1/videos/scan"


def problem(response: Response, status: int, code: str) -> str:
    """Make sure that an answer is the problem expected, whole and of the right type; gives its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"]) == (status, code), body
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "instance", "code"}
    assert body["instance"] == response.request.url.path
    detail: str = body["detail"]
    assert detail.endswith((".", ")")) or code == "VALIDATION_ERROR", detail
    return detail


def scan(client: TestClient, path: Path, **options: bool) -> dict[str, Any]:
    """Scan a folder and give the ended job."""
    response = client.post(SCAN, json={"path": str(path), **options})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = client.get(f"/api/v1/jobs/{response.json()['job_id']}/wait").json()
    return job


def videos(client: TestClient, **query: str | int) -> list[dict[str, Any]]:
    """Give one page of videos."""
    response = client.get("/api/v1/videos", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["videos"]
    return found
