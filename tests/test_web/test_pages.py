"""The pages over plain HTTP: what is in them, their headers, and what they answer to what is wrong."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from stoat_ferret.web import routes
from tests.media_files import place_clip
from tests.test_web.conftest import HOSTILE, NOT_UTF8

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def filled(client: TestClient, clips: Path) -> TestClient:
    """The application, with the clips in its library."""
    assert client.post("/api/v1/videos/scan", json={"path": str(clips)}).status_code == 202
    return client


def the_video(client: TestClient, query: str) -> str:
    """Give the id of the one video that a search finds."""
    [video] = client.get("/api/v1/videos/search", params={"q": query}).json()["videos"]
    return str(video["id"])


@pytest.mark.parametrize("path", ["/", "/docs", "/fragments/jobs", "/nothing"])
def test_pages_carry_strict_headers(client: TestClient, path: str) -> None:
    """Nothing inline, nothing from elsewhere, nothing kept."""
    answer = client.get(path, headers=HTML)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for trace in (" style=", "<style", "onclick", "http://www", "https://"):
        assert trace not in answer.text
    assert answer.text.count("<script") == (path != "/fragments/jobs")


def test_an_empty_library_says_how_to_begin(client: TestClient) -> None:
    """And shows the form."""
    page = client.get("/").text
    assert "Your library is empty" in page
    assert '<details class="scan" open>' in page


def test_the_list_names_videos_libraries_and_the_last_job(filled: TestClient, clips: Path) -> None:
    """With the failures of the job and their reasons."""
    page = filled.get("/").text
    assert "2 videos" in page
    assert "beach.mp4" in page
    assert f">{clips}<" in page
    assert f"Scan of {clips}" in page
    assert "2 new, 1 skipped, 1 failed" in page
    assert "1 file could not be used" in page
    assert str(clips / "cut.mp4") in page


def test_a_search_is_the_same_as_the_apis(filled: TestClient) -> None:
    """Accents and case do not matter."""
    page = filled.get("/", params={"q": " ETE "}).text
    assert "1 video for “<bdi>ETE</bdi>”" in page
    assert "beach.mp4" in page
    assert "tower.mkv" not in page
    assert "Nothing matches" in filled.get("/", params={"q": "nowhere"}).text


def test_pages_follow_each_other(filled: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page keeps the query and the order, and leads back to the first."""
    monkeypatch.setattr(routes, "PAGE_SIZE", 1)
    first = filled.get("/", params={"q": "m", "sort": "name"}).text
    assert "2 videos" in first
    [link] = [part.split('"')[0] for part in first.split('rel="next" href="')[1:]]
    second = filled.get(link.replace("&amp;", "&")).text
    assert "beach.mp4" in first
    assert "tower.mkv" in second
    assert '<a href="/?q=m&amp;sort=name">First page</a>' in second
    assert 'rel="next"' not in second


def test_the_page_after_the_last_says_so(filled: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when videos were forgotten after the link was made."""
    monkeypatch.setattr(routes, "PAGE_SIZE", 1)
    [link] = [part.split('"')[0] for part in filled.get("/").text.split('rel="next" href="')[1:]]
    for name in ("beach", "tower"):
        filled.delete(f"/api/v1/videos/{the_video(filled, name)}")
    assert "There is nothing after that" in filled.get(link).text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"q": '"'}, "nothing to search for"),
        ({"sort": "<b>"}, "Cannot sort by &#39;&lt;b&gt;&#39;"),
        ({"cursor": "x"}, "damaged"),
    ],
)
def test_a_list_that_cannot_be_had_is_a_page(client: TestClient, query: dict[str, str], said: str) -> None:
    """With the reason, and a way on."""
    answer = client.get("/", params=query)
    assert answer.status_code == 400
    assert said in answer.text
    assert "Start again" in answer.text


def test_a_video_shows_all_that_is_known(filled: TestClient) -> None:
    """Facts, streams, tags and the path."""
    page = filled.get(f"/videos/{the_video(filled, 'beach')}").text
    for fact in ("<h1><bdi>beach.mp4</bdi></h1>", "A day at the beach", "H.264", "25 fps", "été", "yuv420p"):
        assert fact in page
    assert 'data-copy="/' in page
    assert "base64" not in page


def test_a_video_shows_why_it_cannot_be_read_or_since_when_it_is_missing(client: TestClient, tmp_path: Path) -> None:
    """In the list and on its own page."""
    folder = tmp_path / "videos"
    for seed, name in enumerate(("spoilt", "gone", "kept")):
        place_clip(folder / f"{name}.mp4", seed=seed)
    client.post("/api/v1/videos/scan", json={"path": str(folder)})
    (folder / "spoilt.mp4").write_bytes(b"nonsense")
    (folder / "gone.mp4").unlink()
    client.post("/api/v1/videos/scan", json={"path": str(folder)})
    listed = client.get("/").text
    assert "Cannot be read</span>" in listed
    assert "Missing</span>" in listed
    assert "not a video" in client.get(f"/videos/{the_video(client, 'spoilt')}").text
    assert "<strong>Missing</strong> since 2" in client.get(f"/videos/{the_video(client, 'gone')}").text


def test_hostile_names_are_text_wherever_they_stand(client: TestClient, tmp_path: Path) -> None:
    """In names, titles, tags, chapters, folders, jobs and queries; what is not UTF-8 shows U+FFFD and its bytes."""
    folder = tmp_path / "<script>folder"
    evil = "</title><script>alert(1)</script>"
    place_clip(folder / HOSTILE, title=evil, tags={"comment": evil}, chapters=(evil,))
    place_clip(bytes(folder) + b"/" + NOT_UTF8, seed=1)
    client.post("/api/v1/videos/scan", json={"path": str(folder)})
    pages = [client.get("/", params={"q": "<script>alert"}).text, client.get("/").text]
    pages.append(client.get(f"/videos/{the_video(client, 'onerror')}").text)
    exact = client.get(f"/videos/{the_video(client, 'utf8')}").text
    for page in (*pages, exact):
        assert "<script>" not in page
        assert "<img src=x" not in page
    assert "not \ufffd utf8.mp4" in exact
    assert "in base64" in exact


@pytest.mark.parametrize("path", ["/videos/nope", "/nothing", "/videos/x/y"])
def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(client: TestClient, path: str) -> None:
    """By what the caller accepts."""
    page = client.get(path, headers=HTML)
    assert page.status_code == 404
    assert "Go to the library" in page.text
    problem = client.get(path)
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"


def test_the_api_answers_browsers_with_problems_too(client: TestClient) -> None:
    """A page is no answer there."""
    for path in ("/api/v1/videos/nope", "/static/nope.css"):
        answer = client.get(path, headers=HTML)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_says_which_are_right(client: TestClient) -> None:
    """As a page, with the header of the problem."""
    answer = client.post("/docs", headers=HTML)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "METHOD_NOT_ALLOWED" in answer.text


def test_static_files_are_kept_by_browsers(client: TestClient) -> None:
    """For ever under the address in the page, else by their ETag."""
    page = client.get("/").text
    for name in ("app.css", "app.js", "favicon.svg"):
        url = f"/static/{name}?v=" + page.split(f"/static/{name}?v=")[1].split('"')[0]
        kept = client.get(url)
        assert "immutable" in kept.headers["cache-control"]
        plain = client.get(f"/static/{name}")
        assert plain.headers["cache-control"] == "no-cache"
        assert plain.content == kept.content
        again = client.get(f"/static/{name}", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "no-cache"
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize("name", ["..%2froutes.py", "%2e%2e/routes.py", "app.css/", "app.css%00", "/etc/passwd"])
def test_no_file_is_served_by_its_path(client: TestClient, name: str) -> None:
    """Only what is known by name."""
    assert client.get(f"/static/{name}", follow_redirects=False).status_code in {307, 404}


def test_the_scripts_are_small() -> None:
    """Each is small enough to be read in one go."""
    for script in (Path(routes.__file__).parent / "static").glob("*.js"):
        assert len(script.read_text(encoding="utf-8").splitlines()) < 150, script


def test_pages_are_no_part_of_the_api(client: TestClient) -> None:
    """The OpenAPI document describes what programs call."""
    paths = client.get("/openapi.json").json()["paths"]
    assert [path for path in paths if not path.startswith(("/api/v1/", "/health/", "/metrics"))] == []


def test_what_a_person_has_set_and_where_it_was_are_shown(client: TestClient, tmp_path: Path) -> None:
    """As text, whatever is in it; and nothing of it where there is nothing."""
    place_clip(tmp_path / "v" / "a.mp4")
    assert client.post("/api/v1/videos/scan", json={"path": str(tmp_path / "v")}).status_code == 202
    video_id = the_video(client, "a.mp4")
    plain = client.get(f"/videos/{video_id}").text
    assert "notes-heading" not in plain
    assert "Where it was before" not in plain
    given = {"rating": 4, "labels": ["b-roll", "<b>x</b>"], "notes": "first line\n<i>second</i>"}
    client.patch(f"/api/v1/videos/{video_id}", json=given).raise_for_status()
    (tmp_path / "v" / "a.mp4").rename(tmp_path / "v" / "b.mp4")
    client.post("/api/v1/videos/scan", json={"path": str(tmp_path / "v")})
    page = client.get(f"/videos/{video_id}").text
    assert 'aria-label="Rated 4 of 5">★★★★☆<' in page
    assert "<bdi>b-roll</bdi>" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "first line\n&lt;i&gt;second&lt;/i&gt;" in page
    assert "Where it was before" in page
    assert f"{tmp_path}/v/a.mp4" in page
