"""Scan, list, search, show, picture, forget: over HTTP."""

import base64
import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stoat_ferret.api.app import create_app
from stoat_ferret.db.engine import Database
from stoat_ferret.errors import StorageBusyError, StorageFullError
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.settings import Settings
from tests.conftest import BASE
from tests.factories import make_settings
from tests.media_files import place_clip
from tests.test_api.answers import SCAN, problem, scan, videos

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Iterator[TestClient]:
    """The application after a scan of the clips; for tests that only read."""
    settings = make_settings(tmp_path_factory.mktemp("data"))
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        assert scan(client, clips)["status"] == "complete"
        yield client


def one(client: TestClient, name: str) -> dict[str, Any]:
    return next(video for video in videos(client) if video["filename"] == name)


# Scan


def test_a_scan_is_submitted_and_then_asked_for(client: TestClient, clips: Path) -> None:
    """202 with exactly the job's id, where to ask and when; the job ends complete, and the videos are there."""
    response = client.post(SCAN, json={"path": str(clips)})
    assert response.status_code == 202
    body = response.json()
    assert set(body) == {"job_id"}
    assert response.headers["location"] == f"/api/v1/jobs/{body['job_id']}"
    assert response.headers["retry-after"] == "1"
    job = client.get(response.headers["location"]).json()
    assert (job["job_id"], job["status"], job["progress"]) == (body["job_id"], "complete", 1.0)
    assert set(job["result"]) == {
        "scanned", "new", "updated", "moved", "restored", "unchanged", "missing", "skipped", "failed", "errors",
        "left_out", "bytes_read", "duration_seconds",
    }  # fmt: skip
    assert (job["result"]["scanned"], job["result"]["new"], job["result"]["failed"]) == (3, 2, 1)
    assert [error["path"] for error in job["result"]["errors"]] == [str(clips / "cut.mp4")]
    assert {video["filename"] for video in videos(client)} == {"beach.mp4", "tower.mkv"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"path": "relative/folder"}, "INVALID_PATH"),
        ({"path": ""}, "INVALID_PATH"),
        ({"path": "/nowhere/at/all"}, "INVALID_PATH"),
        ({"path": "/etc/passwd"}, "INVALID_PATH"),
        ({"path": "/etc\0/x"}, "INVALID_PATH"),
        ({"path": "/" + "x" * 5000}, "INVALID_PATH"),
        ({"path": "/\ud800"}, "INVALID_PATH"),
        ({"path_bytes": "not base64"}, "INVALID_PATH"),
        ({"path_bytes": base64.b64encode(b"/nowhere/\xff").decode()}, "INVALID_PATH"),
    ],
    ids=range(9),
)
def test_a_path_that_cannot_be_scanned_is_refused(client: TestClient, body: dict[str, str], code: str) -> None:
    """With 400, and nothing is put on the queue."""
    response = client.post(SCAN, content=json.dumps(body), headers=JSON)
    problem(response, 400, code)
    assert client.get("/api/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"{}", b"[]", b"null", b"1", b'"x"', b'{"path": null}', b'{"path": 1}', b'{"path": ["/"]}', b'{"path": NaN}',
        b'{"path": "/", "path_bytes": "Lw=="}', b'{"path": "/", "recursive": "yes"}', b'{"path": "/", "force": 1}',
        b'{"path": "/", "colour": "red"}', b'{"path": "/", "dry_run": null}', b'{"path": "/", "\\ud800": 1}',
        b'{"path": "/", "x": "\\ud800"}', b'{"path": {"a": -Infinity}}', b'{"path": ' + b"[" * 400 + b"]" * 400 + b"}",
        b'{"path": 1' + b"0" * 400 + b"}", b'{"path"', b"", b"\xff\xfe", b'{"path": "\xff"}', b"[" * 100_000,
        b'{"path": 1' + b"0" * 5000 + b"}",
    ],
    ids=range(25),
)  # fmt: skip
def test_a_body_of_the_wrong_shape_is_refused(client: TestClient, content: bytes) -> None:
    """With 422 and each field that is wrong, whatever was sent."""
    response = client.post(SCAN, content=content, headers=JSON)
    detail = problem(response, 422, "VALIDATION_ERROR")
    assert "Value error" not in detail, "that is the validating library's word, not ours"
    assert response.json()["errors"]
    assert client.get("/api/v1/jobs").json()["jobs"] == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=6,
    )
)
def test_no_body_is_too_strange(stocked: TestClient, body: object) -> None:
    """Whatever JSON it is."""
    response = stocked.post(SCAN, content=json.dumps({"path": body, "dry_run": "x"}), headers=JSON)
    problem(response, 422, "VALIDATION_ERROR")


def test_a_huge_body_is_refused(client: TestClient) -> None:
    """With 413, with and without a length given beforehand."""
    huge = b'{"path": "' + b"x" * (1 << 20) + b'"}'
    problem(client.post(SCAN, content=huge), 413, "BODY_TOO_LARGE")
    problem(client.post(SCAN, content=iter([huge[:100], huge[100:]]), headers=JSON), 413, "BODY_TOO_LARGE")


def test_only_media_roots_may_be_scanned_where_there_are_any(tmp_path: Path) -> None:
    """What lies outside is 403 whether it exists or not, also through a link; the setting is named."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    place_clip(inside / "a.mp4")
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    settings = make_settings(tmp_path / "data", media_roots=(inside,))
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        for path in (outside, tmp_path, "/nowhere", inside / "link", inside / ".." / "out", "/etc/passwd"):
            detail = problem(client.post(SCAN, json={"path": str(path)}), 403, "PATH_NOT_ALLOWED")
            assert "STOAT_MEDIA_ROOTS" in detail
        problem(client.post(SCAN, json={"path": str(inside / "nothing")}), 400, "INVALID_PATH")
        assert scan(client, inside)["result"]["new"] == 1
        assert scan(client, inside / "nothing")["status"] == "complete"


def test_a_folder_that_may_not_be_read_is_refused(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 403, whether it can be seen or not."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert str(tmp_path) in problem(client.post(SCAN, json={"path": str(tmp_path)}), 403, "PATH_NOT_READABLE")
    monkeypatch.undo()
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if path == bytes(tmp_path / "closed" / "x"):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    problem(client.post(SCAN, json={"path": str(tmp_path / "closed" / "x")}), 403, "PATH_NOT_READABLE")


def test_a_disk_that_does_not_answer_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon, and with a time to try again; the answer that comes late harms nobody."""
    asked, released = threading.Event(), threading.Event()
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if path == bytes(tmp_path):
            asked.set()
            assert released.wait(20)
        return real(path, **options)

    settings = make_settings(tmp_path / "data", path_timeout_seconds=0.05)
    with TestClient(create_app(settings, in_memory_jobs=True), base_url=BASE) as client:
        monkeypatch.setattr(os, "stat", stat)
        response = client.post(SCAN, json={"path": str(tmp_path)})
        problem(response, 503, "PATH_TIMEOUT")
        assert response.headers["retry-after"]
        assert asked.is_set()
        released.set()
        assert client.get("/health/live").status_code == 200


def test_a_path_that_is_missing_inside_a_library_is_a_job(client: TestClient, tmp_path: Path) -> None:
    """Where the library is offline, the job fails and says so; where only the folder is gone, its files are missing."""
    place_clip(tmp_path / "v" / "a" / "x.mp4")
    place_clip(tmp_path / "v" / "b.mp4")
    scan(client, tmp_path / "v")
    shutil.rmtree(tmp_path / "v" / "a")
    assert scan(client, tmp_path / "v" / "a")["result"]["missing"] == 1
    (tmp_path / "v").rename(tmp_path / "away")
    for path in (tmp_path / "v", tmp_path / "v" / "a"):
        job = scan(client, path)
        assert (job["status"], job["error_code"]) == ("failed", "LIBRARY_OFFLINE")
        assert str(tmp_path / "v") in job["error"]
    assert one(client, "b.mp4")["state"] == "available"


def test_options_reach_the_scan(client: TestClient, tmp_path: Path) -> None:
    """Each of them; and a folder has one spelling."""
    place_clip(tmp_path / "v" / "a.mp4")
    place_clip(tmp_path / "v" / "inner" / "b.mp4")
    assert scan(client, tmp_path / "v", dry_run=True)["result"]["new"] == 2
    assert videos(client) == []
    assert scan(client, tmp_path / "v", recursive=False)["result"]["new"] == 1
    assert scan(client, Path(f"/{tmp_path}/v"))["result"]["new"] == 1
    assert scan(client, tmp_path / "v", force=True)["result"]["updated"] == 2
    shutil.rmtree(tmp_path / "v")
    (tmp_path / "v").mkdir()
    assert scan(client, tmp_path / "v")["status"] == "failed"
    assert scan(client, tmp_path / "v", accept_loss=True)["result"]["missing"] == 2
    assert len(client.get("/api/v1/libraries").json()["libraries"]) == 1


def test_a_path_that_is_not_text_is_given_as_bytes(client: TestClient, tmp_path: Path) -> None:
    """And shown with replacement characters, its exact bytes beside it."""
    folder = bytes(tmp_path) + b"/\xff"
    place_clip(folder + b"/\xfe.mp4")
    response = client.post(SCAN, json={"path_bytes": base64.b64encode(folder).decode()})
    assert response.status_code == 202
    (video,) = videos(client)
    assert video["path"].endswith("/\ufffd/\ufffd.mp4")
    assert base64.b64decode(video["path_bytes"]) == folder + b"/\xfe.mp4"
    (library,) = client.get("/api/v1/libraries").json()["libraries"]
    assert base64.b64decode(library["path_bytes"]) == folder


def test_only_this_machine_s_pages_may_write(client: TestClient, tmp_path: Path) -> None:
    """A foreign Host is 421, a foreign page's write 403; reading and other programs are free."""
    body = {"path": str(tmp_path)}
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1:8765"):
        problem(client.post(SCAN, json=body, headers={"Host": host}), 421, "HOST_NOT_ALLOWED")
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:9999"},
    ):
        problem(client.post(SCAN, json=body, headers=headers), 403, "FOREIGN_ORIGIN")
        assert client.get("/api/v1/videos", headers=headers).status_code == 200
    for headers in (
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "localhost:8765"},
        {"Host": "[::1]:8765"},
    ):
        assert client.post(SCAN, json=body, headers=headers).status_code == 202


# Lists


def test_a_list_says_how_many_there_are_and_where_the_rest_is(stocked: TestClient) -> None:
    """The total is that of all pages; the Link header and the cursor lead to the same page."""
    response = stocked.get("/api/v1/videos", params={"limit": 1, "sort": "name"})
    page = response.json()
    assert (len(page["videos"]), page["total"], page["total_is_lower_bound"]) == (1, 2, False)
    link = response.headers["link"]
    assert link.endswith('>; rel="next"')
    by_link = stocked.get(link[1 : link.index(">")])
    by_cursor = stocked.get("/api/v1/videos", params={"limit": 1, "sort": "name", "cursor": page["next_cursor"]})
    assert by_link.json() == by_cursor.json()
    assert by_link.json()["next_cursor"] is None
    assert "link" not in by_link.headers
    assert by_link.json()["videos"] != page["videos"]


@pytest.mark.parametrize("sort", ["name", "-name", "added", "-added", "modified", "-modified", "duration", "-size"])
def test_every_order_can_be_paged(stocked: TestClient, sort: str) -> None:
    """Without repeats, to the end."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"sort": sort, "limit": "1", **({"cursor": cursor} if cursor else {})}
        page = stocked.get("/api/v1/videos", params=query).json()
        found += [video["id"] for video in page["videos"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "VALIDATION_ERROR"),
        ("limit=201", 422, "VALIDATION_ERROR"),
        ("limit=x", 422, "VALIDATION_ERROR"),
        ("sort=colour", 422, "VALIDATION_ERROR"),
        ("sort=name%0A", 422, "VALIDATION_ERROR"),
        ("colour=red", 422, "VALIDATION_ERROR"),
        ("Limit=1", 422, "VALIDATION_ERROR"),
        ("cursor=x", 400, "INVALID_CURSOR"),
        ("cursor=%FF", 400, "INVALID_CURSOR"),
        ("q=%20", 400, "INVALID_QUERY"),
        ("q=" + "+".join(map(str, range(100, 120))), 400, "INVALID_QUERY"),
    ],
)
def test_a_list_that_cannot_be_given_is_refused(stocked: TestClient, query: str, status: int, code: str) -> None:
    """Unknown parameters too: a misspelt filter is not one left out."""
    problem(stocked.get(f"/api/v1/videos?{query}"), status, code)


def test_a_cursor_of_another_query_is_refused(stocked: TestClient) -> None:
    """Of another order or another search, or of the jobs."""
    cursor = stocked.get("/api/v1/videos?limit=1&sort=name").json()["next_cursor"]
    for query in ("sort=-name", "sort=name&q=mp4", ""):
        problem(stocked.get(f"/api/v1/videos?limit=1&cursor={cursor}&{query}"), 400, "INVALID_CURSOR")
    problem(stocked.get(f"/api/v1/jobs?cursor={cursor}"), 400, "INVALID_CURSOR")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("b", {"beach.mp4"}), ("東京", {"tower.mkv"}), ("京", {"tower.mkv"}), ("ete", {"beach.mp4"}),
        ("ÉTÉ", {"beach.mp4"}), ('"day at the"', {"beach.mp4"}), ('"the day"', set()), ("BEACH day", {"beach.mp4"}),
        ("tower beach", set()), ("mp4 OR mkv", set()), ("%", set()), ("beac_", set()), ("*", set()), ("'--", set()),
        ('"', None), ("beach\x00", set()), ("\ufffd", set()), ('video_grams:"x"', set()), ("NOT x", set()),
        ("/", {"beach.mp4", "tower.mkv"}),
    ],
)  # fmt: skip
def test_a_search_finds_what_people_mean(stocked: TestClient, query: str, names: set[str] | None) -> None:
    """From one letter on, in any script, without accents, in quoted phrases; nothing in it is an operator."""
    response = stocked.get("/api/v1/videos/search", params={"q": query})
    if names is None:
        problem(response, 400, "INVALID_QUERY")
        return
    body = response.json()
    assert body["query"] == query
    assert {video["filename"] for video in body["videos"]} == names
    assert body["total"] == len(names)
    assert {video["filename"] for video in videos(stocked, q=query)} == names


def test_a_search_wants_something_to_search_for(stocked: TestClient) -> None:
    """A list does not: with an empty `q` it gives all."""
    problem(stocked.get("/api/v1/videos/search"), 422, "VALIDATION_ERROR")
    problem(stocked.get("/api/v1/videos/search?q="), 422, "VALIDATION_ERROR")
    assert len(videos(stocked, q="")) == 2


# One video


def test_a_video_is_shown_in_full(stocked: TestClient, clips: Path) -> None:
    """With what the contract names, times in UTC, and streams, chapters and tags."""
    video = one(stocked, "beach.mp4")
    detail = stocked.get(f"/api/v1/videos/{video['id']}").json()
    assert {name: detail[name] for name in video} == video
    assert set(detail) - set(video) == {
        "streams", "chapters", "tags", "probe_error", "places", "checksum", "camera_make", "camera_model", "timecode",
        "location",
    }  # fmt: skip
    assert set(
        "id path filename library_id size modified_at added_at updated_at state duration container width height "
        "rotation display_width display_height video_codec video_profile pixel_format frame_rate frame_rate_float vfr "
        "bit_rate hdr audio_codec audio_channels created_at_in_camera content_id fingerprint probe_level".split()
    ) <= set(video)
    assert (detail["path"], detail["size"]) == (str(clips / "beach.mp4"), (clips / "beach.mp4").stat().st_size)
    assert (detail["state"], detail["title"], detail["video_codec"]) == ("available", "A day at the beach", "h264")
    assert (detail["width"], detail["height"], detail["frame_rate"]) == (160, 96, "25/1")
    assert detail["tags"]["comment"] == "été"
    assert [stream["kind"] for stream in detail["streams"]] == ["video"]
    assert detail["path_bytes"] is None
    for name in ("modified_at", "added_at", "updated_at"):
        assert detail[name].endswith("Z")


def test_where_it_was_filmed_is_told_to_those_who_ask(client: TestClient, tmp_path: Path) -> None:
    """And to nobody else: no list, search, detail or page has it, though the file says it as a tag."""
    where = {"location": "+51.4779-000.0015+046.0/"}
    place_clip(
        tmp_path / "v" / "a.mov",
        container="mov",
        tags={"make": "Apple", "model": "X", "timecode": "10:00:00:00"} | where,
    )
    assert scan(client, tmp_path / "v")["status"] == "complete"
    [video] = videos(client)
    url = f"/api/v1/videos/{video['id']}"
    shown = client.get(url)
    detail = shown.json()
    assert (detail["camera_make"], detail["camera_model"], detail["timecode"]) == ("Apple", "X", "10:00:00:00")
    assert detail["location"] is None
    told = client.get(url, params={"include": "location"})
    assert told.json() == detail | {"location": {"latitude": 51.4779, "longitude": -0.0015, "altitude": 46.0}}
    assert told.headers["etag"] != shown.headers["etag"]
    pages = ("/", f"/videos/{video['id']}", url, "/api/v1/videos", "/api/v1/videos/search?q=a", "/api/v1/changes")
    patched = client.patch(url, json={"rating": 3}, headers={"If-Match": told.headers["etag"]}).text
    assert '"rating":3' in patched
    assert [text for text in [patched, *(client.get(page).text for page in pages)] if "51.47" in text] == []
    assert client.get("/api/v1/videos/search?q=51.4779").json()["total"] == 0
    problem(client.get(url, params={"include": "everything"}), 422, "VALIDATION_ERROR")


def test_what_has_not_changed_is_not_sent_again(stocked: TestClient) -> None:
    """Videos, their pictures, jobs and libraries carry an ETag, and answer 304 to whoever has it."""
    video, library = one(stocked, "beach.mp4"), stocked.get("/api/v1/libraries").json()["libraries"][0]
    job = stocked.get("/api/v1/jobs?limit=1").json()["jobs"][0]
    for url in (
        f"/api/v1/videos/{video['id']}",
        f"/api/v1/videos/{video['id']}/thumbnail",
        f"/api/v1/jobs/{job['job_id']}",
        f"/api/v1/libraries/{library['id']}",
    ):
        first = stocked.get(url)
        tag = first.headers["etag"]
        assert first.status_code == 200
        for known in (tag, f'"other", W/{tag}', "*"):
            again = stocked.get(url, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert stocked.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_etag_changes_with_what_it_stands_for(client: TestClient, tmp_path: Path) -> None:
    """So that nobody keeps an old state."""
    place_clip(tmp_path / "v" / "a.mp4")
    place_clip(tmp_path / "v" / "b.mp4")
    scan(client, tmp_path / "v")
    url = f"/api/v1/videos/{one(client, 'a.mp4')['id']}"
    library = f"/api/v1/libraries/{one(client, 'a.mp4')['library_id']}"
    before, library_before = client.get(url).headers["etag"], client.get(library).headers["etag"]
    (tmp_path / "v" / "a.mp4").unlink()
    scan(client, tmp_path / "v")
    after = client.get(url, headers={"If-None-Match": before})
    assert (after.status_code, after.json()["state"]) == (200, "missing")
    assert after.json()["missing_since"]
    assert client.get(library, headers={"If-None-Match": library_before}).status_code == 200


@pytest.mark.parametrize("video_id", ["nothing", "01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3", "%00", "%FF", "a%2Fb"])
@pytest.mark.parametrize("part", ["", "/thumbnail"])
def test_an_unknown_video_is_404(client: TestClient, video_id: str, part: str) -> None:
    """Whatever its id looks like."""
    response = client.get(f"/api/v1/videos/{video_id}{part}")
    assert response.status_code == 404
    assert response.json()["code"] in {"VIDEO_NOT_FOUND", "NOT_FOUND"}


def test_deleting_forgets_the_entry_only(client: TestClient, tmp_path: Path) -> None:
    """The file stays; the next scan finds it as a new one; deleting footage is refused."""
    place_clip(tmp_path / "v" / "a.mp4")
    scan(client, tmp_path / "v")
    url = f"/api/v1/videos/{one(client, 'a.mp4')['id']}"
    problem(client.delete(url + "?delete_file=true"), 400, "NOT_SUPPORTED")
    problem(client.delete(url + "?force=true"), 422, "VALIDATION_ERROR")
    response = client.delete(url)
    assert (response.status_code, response.content) == (204, b"")
    problem(client.get(url), 404, "VIDEO_NOT_FOUND")
    problem(client.delete(url), 404, "VIDEO_NOT_FOUND")
    assert (tmp_path / "v" / "a.mp4").is_file()
    assert videos(client) == []
    assert scan(client, tmp_path / "v")["result"]["new"] == 1
    assert not url.endswith(one(client, "a.mp4")["id"])


# Pictures


def test_a_picture_is_jpeg_or_webp_as_the_client_likes(stocked: TestClient) -> None:
    """Of the width asked for, rounded up; each with an ETag of its own."""
    url = f"/api/v1/videos/{one(stocked, 'beach.mp4')['id']}/thumbnail"
    webp = stocked.get(url, params={"width": 640}, headers={"Accept": "image/avif,image/webp,*/*"})
    jpeg = stocked.get(url)
    assert (jpeg.headers["content-type"], jpeg.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert (webp.headers["content-type"], webp.content[:4], webp.content[8:12]) == ("image/webp", b"RIFF", b"WEBP")
    assert jpeg.headers["vary"] == webp.headers["vary"] == "Accept"
    assert int(jpeg.headers["content-length"]) == len(jpeg.content)
    tags = {stocked.get(url, params={"width": width}).headers["etag"] for width in (16, 160, 161, 320, 1280)}
    assert len({*tags, webp.headers["etag"]}) == 4
    assert stocked.get(url).content == jpeg.content
    for query in ("width=0", "width=5000", "width=x", "height=3"):
        problem(stocked.get(f"{url}?{query}"), 422, "VALIDATION_ERROR")


def test_a_file_without_a_picture_is_404(client: TestClient, tmp_path: Path) -> None:
    """One that is missing, too, unless the picture was made before."""
    for name, seed in (("a.mp4", 1), ("b.mp4", 2), ("c.mp4", 3)):
        place_clip(tmp_path / "v" / name, seed=seed)
    scan(client, tmp_path / "v")
    kept, lost, spoilt = (f"/api/v1/videos/{one(client, name)['id']}/thumbnail" for name in ("a.mp4", "b.mp4", "c.mp4"))
    picture = client.get(kept).content
    (tmp_path / "v" / "a.mp4").unlink()
    (tmp_path / "v" / "b.mp4").unlink()
    (tmp_path / "v" / "c.mp4").write_bytes(b"not a video any more")
    problem(client.get(spoilt), 404, "NO_PICTURE")
    assert "no longer there" in problem(client.get(lost), 404, "NO_PICTURE")
    scan(client, tmp_path / "v")
    assert client.get(kept).content == picture
    assert "missing" in problem(client.get(lost), 404, "NO_PICTURE")


def test_a_picture_of_a_changed_file_is_not_kept_for_its_former_content(client: TestClient, tmp_path: Path) -> None:
    """Which has its own when it is back, and may lie elsewhere too."""
    path, former = tmp_path / "v" / "a.mp4", tmp_path / "former.mp4"
    place_clip(path, size=(160, 96))
    scan(client, tmp_path / "v")
    url = f"/api/v1/videos/{one(client, 'a.mp4')['id']}/thumbnail"
    path.rename(former)
    place_clip(path, size=(96, 160), seed=1)
    changed = client.get(url)
    assert changed.status_code == 200
    path.unlink()
    former.rename(path)
    picture = client.get(url, headers={"If-None-Match": changed.headers["etag"]})
    assert (picture.status_code, picture.content != changed.content) == (200, True)
    assert client.get(url, headers={"If-None-Match": picture.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("damage", ["emptied", "folder is a file", "file is a folder"])
def test_a_damaged_cache_is_no_bare_500(client: TestClient, tmp_path: Path, clips: Path, damage: str) -> None:
    """An emptied picture is made anew; where none can be kept, that is said."""
    scan(client, clips)
    url = f"/api/v1/videos/{one(client, 'beach.mp4')['id']}/thumbnail"
    picture = client.get(url).content
    cache = tmp_path / "data" / "thumbnails"
    (kept,) = cache.rglob("*.jpeg")
    if damage == "emptied":
        kept.write_bytes(b"")
        assert client.get(url).content == picture
        return
    if damage == "folder is a file":
        shutil.rmtree(cache)
        cache.write_text("")
    else:
        kept.unlink()
        kept.mkdir()
    problem(client.get(url), 503, "STORAGE_ERROR")


def test_a_full_disk_is_507(
    client: TestClient, settings: Settings, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a time to try again, and no half a picture left behind."""
    scan(client, clips)
    # Of a width that is not made ahead: the scan's own pictures may be there before the disk is full.
    url = f"/api/v1/videos/{one(client, 'beach.mp4')['id']}/thumbnail?width=1280"

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    response = client.get(url)
    problem(response, 507, "STORAGE_FULL")
    assert response.headers["retry-after"]
    assert [path for path in settings.data_dir.rglob(".*") if path.is_file()] == []
    monkeypatch.undo()
    assert client.get(url).status_code == 200


# Trouble


def test_a_database_that_is_busy_or_full_is_503_or_507(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a bare 500, and with a time to try again."""
    for error, status, code in (
        (StorageBusyError, 503, "STORAGE_BUSY"),
        (StorageFullError, 507, "STORAGE_FULL"),
    ):
        with monkeypatch.context() as patched:

            def fail(_database: Database, error: type[Exception] = error) -> Any:
                raise error

            patched.setattr(Database, "read", fail)
            response = client.get("/api/v1/videos")
            problem(response, status, code)
            assert response.headers["retry-after"]


def test_what_nobody_thought_of_is_a_problem_too(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, without telling the caller what only the log should know."""

    def fail(_repository: LibraryRepository) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(LibraryRepository, "libraries", fail)
    app = create_app(settings, in_memory_jobs=True)
    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as client:
        response = client.get("/api/v1/libraries")
    assert "secret" not in problem(response, 500, "INTERNAL_ERROR")


def test_what_is_not_there_says_what_is(client: TestClient) -> None:
    """Unknown places are 404, wrong methods 405 with those allowed."""
    assert "/openapi.json" in problem(client.get("/api/v1/nothing"), 404, "NOT_FOUND")
    response = client.put("/api/v1/videos/scan")
    problem(response, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in response.headers["allow"]
    assert client.post("/api/v1/videos").status_code == 405


def test_a_body_without_its_content_type_is_told_what_to_send(client: TestClient) -> None:
    """The commonest mistake with curl."""
    answer = client.post("/api/v1/videos/scan", content=b'{"path": "/tmp"}', headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in problem(answer, 422, "VALIDATION_ERROR")


def test_a_host_with_user_information_is_not_this_one(client: TestClient) -> None:
    """What stands before an @ would be read as the host by some."""
    problem(client.get("/api/v1/videos", headers={"Host": "evil.example@127.0.0.1"}), 421, "HOST_NOT_ALLOWED")
