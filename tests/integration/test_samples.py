"""Other people's files, scanned through the API."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from stoat_ferret.api.app import create_app
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.settings import DEFAULT_VIDEO_EXTENSIONS
from tests.conftest import BASE
from tests.factories import make_settings
from tests.media_files import samples_folder
from tests.sample_differences import DIFFERENCES, NOT_VIDEOS, OPENED_OTHERWISE, known_differences
from tools.agreement import compare, document_of_row

pytestmark = pytest.mark.samples


LONG_AGO = 1_600_000_000


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, with the endings of videos all of them: links would be skipped, so they are copied."""
    found = samples_folder()
    folder = tmp_path_factory.mktemp("samples") / "v"
    shutil.copytree(found, folder)
    for path in folder.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))  # some are cut short, and would be taken for copies that go on
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


def rows(samples: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (samples / "EXPECTED.jsonl").read_text().splitlines()]


def test_each_sample_is_a_video_or_says_why_not(samples: Path, scanned: tuple[TestClient, dict[str, Any]]) -> None:
    """In words that a person understands; which ones are none is listed."""
    client, job = scanned
    videos = {video["path"]: video for video in client.get("/api/v1/videos?limit=200").json()["videos"]}
    ledger = {
        entry["path"]: entry for entry in client.get(f"/api/v1/jobs/{job['job_id']}/files?limit=200").json()["files"]
    }
    wrong = []
    for row in rows(samples):
        path = str(samples / row["path"])
        entry = ledger[path]
        if row["path"] not in NOT_VIDEOS:
            if entry["outcome"] != "new" or path not in videos:
                wrong.append((row["path"], entry))
        elif NOT_VIDEOS[row["path"]] not in (entry["reason"] or "") or path in videos:
            wrong.append((row["path"], entry))
    assert wrong == []
    assert job["result"]["new"] == len(videos) == len(rows(samples)) - len(NOT_VIDEOS)
    assert sum(entry["outcome"] == "failed" for entry in ledger.values()) == job["result"]["failed"]


def test_what_is_said_of_each_sample_is_what_ffprobe_says(
    samples: Path, scanned: tuple[TestClient, dict[str, Any]]
) -> None:
    """Every field that the API gives of every video, streams and chapters included, but for what is listed."""
    client, _ = scanned
    videos = {video["path"]: video for video in client.get("/api/v1/videos?limit=200").json()["videos"]}
    wrong: list[tuple[str, object]] = []
    for row in rows(samples):
        video = videos.get(str(samples / row["path"]))
        if video is None or not row["opens"]:
            continue
        detail = client.get(f"/api/v1/videos/{video['id']}?include=location").json()
        answers = TypeAdapter(MediaInfo).validate_python(detail)
        found = {
            (comparison.field.name, comparison.index): comparison.ours
            for comparison in compare(answers, document_of_row(row))
            if comparison.verdict != "equal" and comparison.field.name not in NOT_SHOWN
        }
        if found != known_differences(row["path"]):
            wrong.append((row["path"], found))
        if video["size"] != (samples / row["path"]).stat().st_size:
            wrong.append((row["path"], "size"))
    assert wrong == []


NOT_SHOWN = {"start_time"}
"""Of the file: it is examined, but not stored."""


SAID_OF: dict[str, dict[str, object]] = {
    "rails+rails/rotated_hdr_video.mov": {
        "camera_make": "Apple", "camera_model": "iPhone 14 Pro", "created_at_in_camera": "2024-01-22T10:47:18Z",
        "hdr": "dolby_vision", "dolby_vision_profile": 8, "dolby_vision_level": 4, "dolby_vision_compatibility": 4,
        "level": 120, "bit_depth": 10, "chroma": "4:2:0", "frame_count": 40,
        "location": {"latitude": 51.3714, "longitude": -0.1977, "altitude": 33.13},
    },
    "quietvoid+dovi_tool/regular.mkv": {
        "dolby_vision_profile": 8, "dolby_vision_compatibility": 1, "max_content_light": 1000, "max_average_light": 400,
        "mastering_primaries": [0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329],
        "mastering_min_luminance": 0.0001, "mastering_max_luminance": 1000.0, "hdr10_plus": False,
    },
    "androidx+media/sample_with_colr_mdcv_and_clli.mp4": {
        "hdr": "hdr10", "max_content_light": 1100, "max_average_light": 180, "mastering_max_luminance": 1000.0,
        "display_aspect_ratio": "16:9",
    },
    "Eyevinn+mp4ff/stereo_spatial.mp4": {"views": 2, "stereo_3d": None, "level": 60},
    "bbc+bmx/sample.mxf": {"timecode": "23:58:30:00", "chroma": "4:2:2", "display_aspect_ratio": "4:3"},
    "openpreserve+format-corpus/dv-dvchd-ntsc-interlaced.mov": {"chroma": "4:1:1", "field_order": "bt"},
    "openpreserve+format-corpus/png.mov": {"chroma": None, "bit_depth": 8},
}  # fmt: skip
"""What EXPECTED.jsonl does not record, seen in what ffprobe prints of these files."""


def test_what_people_search_by_is_there(samples: Path, scanned: tuple[TestClient, dict[str, Any]]) -> None:
    """Of the file, or of its picture."""
    client, _ = scanned
    videos = {video["path"]: video["id"] for video in client.get("/api/v1/videos?limit=200").json()["videos"]}
    for sample, said in SAID_OF.items():
        detail = client.get(f"/api/v1/videos/{videos[str(samples / sample)]}?include=location").json()
        picture = next(stream for stream in detail["streams"] if stream["kind"] == "video")
        told = picture | {name: value for name, value in detail.items() if value is not None or name not in picture}
        assert {name: told[name] for name in said} == said, sample


def test_the_list_of_differences_is_about_the_samples(samples: Path) -> None:
    """Each of them is there, and each difference has its reason."""
    there = {row["path"] for row in rows(samples)}
    assert {path for path, _, _ in DIFFERENCES} | OPENED_OTHERWISE.keys() | NOT_VIDEOS.keys() <= there
    assert all(reason for _, reason in DIFFERENCES.values())


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
