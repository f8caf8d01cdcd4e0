"""Libraries over HTTP."""

from pathlib import Path

from fastapi.testclient import TestClient

from tests.media_files import place_clip
from tests.test_api.answers import problem, scan


def test_scanning_a_folder_makes_a_library_of_it(client: TestClient, tmp_path: Path) -> None:
    """One, however often and in whatever part it is scanned; its counter and its last scan are told."""
    assert client.get("/api/v1/libraries").json() == {"libraries": []}
    place_clip(tmp_path / "v" / "inner" / "a.mp4")
    scan(client, tmp_path / "v")
    last = scan(client, tmp_path / "v" / "inner")
    (library,) = client.get("/api/v1/libraries").json()["libraries"]
    assert (library["name"], library["path"], library["path_bytes"]) == ("v", str(tmp_path / "v"), None)
    assert (library["state"], library["video_count"], library["max_loss_fraction"]) == ("online", 1, 0.5)
    assert library["last_scan"]["job_id"] == last["job_id"]
    assert library["last_scan"]["finished_at"].endswith("Z")
    assert client.get(f"/api/v1/libraries/{library['id']}").json() == library


def test_libraries_are_listed_by_path(client: TestClient, tmp_path: Path) -> None:
    """A scan above them makes another one for what they do not own."""
    for name in ("b", "a"):
        place_clip(tmp_path / "v" / name / "x.mp4")
        scan(client, tmp_path / "v" / name)
    place_clip(tmp_path / "v" / "y.mp4")
    scan(client, tmp_path / "v")
    listed = client.get("/api/v1/libraries").json()["libraries"]
    assert [(library["name"], library["video_count"]) for library in listed] == [("v", 1), ("a", 1), ("b", 1)]


def test_a_library_whose_folder_is_away_is_offline(client: TestClient, tmp_path: Path) -> None:
    """Until a scan finds it again."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    (tmp_path / "v").rename(tmp_path / "away")
    assert scan(client, tmp_path / "v")["status"] == "failed"
    assert client.get("/api/v1/libraries").json()["libraries"][0]["state"] == "offline"
    (tmp_path / "away").rename(tmp_path / "v")
    scan(client, tmp_path / "v")
    assert client.get("/api/v1/libraries").json()["libraries"][0]["state"] == "online"


def test_an_unknown_library_is_404(client: TestClient) -> None:
    """And an unknown parameter 422."""
    problem(client.get("/api/v1/libraries/nothing"), 404, "LIBRARY_NOT_FOUND")
    problem(client.get("/api/v1/libraries?limit=1"), 422, "VALIDATION_ERROR")
