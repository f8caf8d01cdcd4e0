"""Other people's files, scanned through the API."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.api.app import create_app
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.settings import DEFAULT_VIDEO_EXTENSIONS
from tests.conftest import BASE
from tests.factories import make_settings
from tests.media_files import samples_folder
from tools.agreement import compare, document_of_row

pytestmark = pytest.mark.samples


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, with the endings of videos all of them: links would be skipped, so they are copied."""
    found = samples_folder()
    folder = tmp_path_factory.mktemp("samples") / "v"
    shutil.copytree(found, folder)
    return folder


@pytest.fixture(scope="module")
def scanned(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, dict[str, Any]]]:
    """The application after a scan of all samples, whatever their endings, and the job."""
    endings = {path.suffix.lstrip(".").lower() for path in samples.rglob("*") if path.suffix}
    settings = make_settings(
        tmp_path_factory.mktemp("data"), video_extensions=(*DEFAULT_VIDEO_EXTENSIONS, *sorted(endings)), probe_workers=2
    )
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        response = client.post("/api/v1/videos/scan", json={"path": str(samples)})
        job = client.get(f"/api/v1/jobs/{response.json()['job_id']}").json()
        assert job["status"] == "complete", job["error"]
        yield client, job


SAID = (
    "container", "duration", "bit_rate", "video_codec", "video_profile", "width", "height", "pixel_format",
    "frame_rate",
)  # fmt: skip
"""Fields of MediaInfo that the list of videos has too, by the same names."""


def rows(samples: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (samples / "EXPECTED.jsonl").read_text().splitlines()]


def pictures(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        stream
        for stream in row.get("streams", [])
        if stream.get("codec_type") == "video" and "attached_pic" not in stream.get("disposition", [])
    ]


def test_each_sample_is_a_video_or_says_why_not(samples: Path, scanned: tuple[TestClient, dict[str, Any]]) -> None:
    """Those that open and have a real picture are videos; all others failed or were skipped, with a reason."""
    client, job = scanned
    videos = {video["path"]: video for video in client.get("/api/v1/videos?limit=200").json()["videos"]}
    ledger = {
        entry["path"]: entry for entry in client.get(f"/api/v1/jobs/{job['job_id']}/files?limit=200").json()["files"]
    }
    wrong = []
    for row in rows(samples):
        path = str(samples / row["path"])
        known = row.get("differs", {}).get("pyav18.1", [])
        outcome = ledger[path]["outcome"]
        if "open" in known:
            assert outcome in {"new", "failed", "skipped"}
        elif row["opens"] and pictures(row):
            if outcome != "new" or path not in videos:
                wrong.append((row["path"], ledger[path]))
        elif outcome not in {"failed", "skipped"} or not ledger[path]["reason"] or path in videos:
            wrong.append((row["path"], ledger[path]))
    assert wrong == []
    assert job["result"]["new"] == len(videos)
    assert sum(entry["outcome"] == "failed" for entry in ledger.values()) == job["result"]["failed"]


def test_what_is_said_of_each_sample_is_what_ffprobe_says(
    samples: Path, scanned: tuple[TestClient, dict[str, Any]]
) -> None:
    """Or null: never something else."""
    client, _ = scanned
    videos = {video["path"]: video for video in client.get("/api/v1/videos?limit=200").json()["videos"]}
    wrong = []
    for row in rows(samples):
        video = videos.get(str(samples / row["path"]))
        if video is None or not row["opens"]:
            continue
        known = row.get("differs", {}).get("pyav18.1", [])
        answers = MediaInfo(**{name: video[name] for name in SAID})
        wrong += [
            (row["path"], comparison.field.name, comparison.ours, comparison.theirs)
            for comparison in compare(answers, document_of_row(row))
            if comparison.field.ours in SAID
            and comparison.verdict in ("wrong", "theirs absent")
            and comparison.word not in known
        ]
        if video["size"] != (samples / row["path"]).stat().st_size:
            wrong.append((row["path"], "size", video["size"], None))
    assert wrong == []


def test_each_sample_s_detail_and_picture_can_be_asked_for(scanned: tuple[TestClient, dict[str, Any]]) -> None:
    """Nothing crashes: a picture comes, or a 404 that says why there is none."""
    client, _ = scanned
    for video in client.get("/api/v1/videos?limit=200").json()["videos"]:
        detail = client.get(f"/api/v1/videos/{video['id']}")
        assert detail.status_code == 200
        assert detail.json()["streams"]
        picture = client.get(f"/api/v1/videos/{video['id']}/thumbnail?width=160")
        if picture.status_code == 404:
            assert picture.json()["code"] == "NO_PICTURE", video["path"]
        else:
            assert picture.status_code == 200, video["path"]
            assert picture.content.startswith(b"\xff\xd8")


def test_a_second_scan_opens_none_of_them(samples: Path, scanned: tuple[TestClient, dict[str, Any]]) -> None:
    """All that was found out is remembered, failures included."""
    client, first = scanned
    response = client.post("/api/v1/videos/scan", json={"path": str(samples)})
    second = client.get(f"/api/v1/jobs/{response.json()['job_id']}").json()["result"]
    assert second["bytes_read"] == 0
    assert second["unchanged"] == first["result"]["new"]
    assert (second["failed"], second["skipped"]) == (first["result"]["failed"], first["result"]["skipped"])
