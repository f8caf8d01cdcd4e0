"""The Server-Timing header."""

from fastapi.testclient import TestClient


def test_every_answer_says_how_long_it_took(client: TestClient) -> None:
    """In milliseconds, errors included."""
    for path in ("/health/live", "/nothing/here"):
        name, _, milliseconds = client.get(path).headers["server-timing"].partition(";dur=")
        assert name == "app"
        assert 0 < float(milliseconds) < 60_000
