"""Verifications over HTTP, on real files."""

import os
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from fastapi.testclient import TestClient

from tests.media_files import place_clip
from tests.test_api.answers import problem, scan, videos


@pytest.fixture
def root(client: TestClient, tmp_path: Path) -> Path:
    """A library of three videos, one with a name that is no text."""
    folder = tmp_path / "v"
    place_clip(folder / "a.mp4")
    place_clip(folder / "b" / "b.mp4", seed=1)
    place_clip(os.fsencode(folder) + b"/\xff\n.mp4", seed=2)
    scan(client, folder)
    return folder


def verified(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/videos/verify", json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = client.get(f"/api/v1/jobs/{answer.json()['job_id']}/wait").json()
    assert job["status"] == "complete", job
    return job


def counts(job: dict[str, Any]) -> dict[str, int]:
    names = ("verified", "hashed", "recovered", "damaged", "failed", "skipped", "left")
    return {name: job["result"][name] for name in names if job["result"][name]}


def rot(path: Path) -> None:
    """Change a byte of a file, and nothing that can be seen from outside."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_silent_damage_is_found_and_never_taken_for_the_truth(client: TestClient, root: Path) -> None:
    """A scan does not see it; it is told until the file reads right again."""
    good = (root / "a.mp4").read_bytes()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    first = verified(client)
    assert counts(first) == {"hashed": 3}
    assert first["result"]["bytes_read"] == size
    assert verified(client)["result"]["bytes_read"] == 0
    rot(root / "a.mp4")
    assert scan(client, root)["result"]["unchanged"] == 3
    second = verified(client, mode="check")
    assert counts(second) == {"verified": 2, "damaged": 1}
    [error] = second["result"]["errors"]
    assert error["path"] == str(root / "a.mp4")
    assert blake3(good).hexdigest() in error["error"]
    rows = client.get(f"/api/v1/jobs/{second['job_id']}/files").json()["files"]
    assert sorted((row["outcome"], row["code"], row["count"]) for row in rows)[0] == ("failed", "DAMAGED", 1)
    [damaged] = client.get("/api/v1/videos/damaged").json()["videos"]
    assert damaged["checksum"]["digest"] == blake3(good).hexdigest()
    assert damaged["checksum"]["found"] == blake3((root / "a.mp4").read_bytes()).hexdigest()
    status = (root / "a.mp4").stat()
    (root / "a.mp4").write_bytes(good)
    os.utime(root / "a.mp4", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(verified(client, mode="check", path=str(root / "a.mp4"))) == {"recovered": 1}
    assert client.get("/api/v1/videos/damaged").json()["videos"] == []


def test_a_damaged_content_can_be_accepted(client: TestClient, root: Path) -> None:
    """By a person who has looked at it."""
    verified(client, path=str(root / "a.mp4"))
    rot(root / "a.mp4")
    verified(client, path=str(root / "a.mp4"), mode="check")
    [damaged] = client.get("/api/v1/videos/damaged").json()["videos"]
    accept = f"/api/v1/videos/{damaged['video_id']}/accept-content"
    assert client.post(accept).status_code == 204
    problem(client.post(accept), 409, "NOT_DAMAGED")
    problem(client.post("/api/v1/videos/nothing/accept-content"), 404, "VIDEO_NOT_FOUND")
    shown = client.get(f"/api/v1/videos/{damaged['video_id']}").json()
    assert shown["checksum"]["digest"] == blake3((root / "a.mp4").read_bytes()).hexdigest()
    assert shown["content_id"] == "blake3:" + shown["checksum"]["digest"]


def test_a_visible_change_is_no_damage(client: TestClient, root: Path) -> None:
    """What a scan has not seen yet is skipped; afterwards it is hashed anew, and has no content's id until then."""
    verified(client)
    place_clip(root / "a.mp4", seed=7)
    assert counts(verified(client, mode="check")) == {"verified": 2, "skipped": 1, "left": 1}
    assert scan(client, root)["result"]["updated"] == 1
    video = next(each for each in videos(client) if each["filename"] == "a.mp4")
    assert video["content_id"] is None
    assert counts(verified(client)) == {"hashed": 1}


def test_a_verification_reads_no_more_than_it_may(client: TestClient, root: Path) -> None:
    """Whole files; the rest is left for another time, and a rate can be set."""
    assert counts(verified(client, max_bytes=1)) == {"hashed": 1, "left": 2}
    assert counts(verified(client, bytes_per_second=10**9)) == {"hashed": 2}
    assert counts(verified(client, mode="check", older_than_days=1)) == {}


def test_a_file_that_is_gone_is_failed_and_not_damaged(client: TestClient, root: Path) -> None:
    """With the reason."""
    (root / "a.mp4").unlink()
    job = verified(client, path=str(root))
    assert counts(job) == {"hashed": 2, "failed": 1, "left": 1}
    assert "no longer there" in job["result"]["errors"][0]["error"]


def test_the_manifest_is_that_of_the_files(client: TestClient, root: Path) -> None:
    """Names are exact bytes, paths as seen from the folder."""
    answer = client.get("/api/v1/videos/manifest", params={"path": str(root)})
    assert (answer.content, answer.headers["X-Stoat-Without-Checksum"]) == (b"", "3")
    verified(client)
    answer = client.get("/api/v1/videos/manifest", params={"path": str(root)})
    lines = answer.content.splitlines(keepends=True)
    digests = [blake3(Path(os.fsdecode(path)).read_bytes()).hexdigest().encode() for path in paths_of(root)]
    assert lines == [
        digests[0] + b"  a.mp4\n",
        digests[1] + b"  b/b.mp4\n",
        b"\\" + digests[2] + b"  \xff\\n.mp4\n",
    ]
    assert answer.headers["X-Stoat-Without-Checksum"] == "0"
    problem(client.get("/api/v1/videos/manifest", params={"path": "/nowhere"}), 400, "INVALID_PATH")
    problem(client.get("/api/v1/videos/manifest"), 400, "INVALID_PATH")


def paths_of(root: Path) -> list[bytes]:
    return [os.fsencode(root) + name for name in (b"/a.mp4", b"/b/b.mp4", b"/\xff\n.mp4")]


@pytest.mark.parametrize("body", [{"mode": "all"}, {"bytes_per_second": -1}, {"max_bytes": 0}, {"x": 1}])
def test_what_cannot_be_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    """As everywhere."""
    problem(client.post("/api/v1/videos/verify", json=body), 422, "VALIDATION_ERROR")


def test_a_place_must_be_known(client: TestClient, root: Path) -> None:
    """And one at a time."""
    verify = "/api/v1/videos/verify"
    problem(client.post(verify, json={"path": "/nowhere"}), 400, "INVALID_PATH")
    problem(client.post(verify, json={"path": "a"}), 400, "INVALID_PATH")
    problem(client.post(verify, json={"path": str(root), "video_id": "x"}), 400, "INVALID_PATH")
    problem(client.post(verify, json={"video_id": "nothing"}), 404, "VIDEO_NOT_FOUND")
