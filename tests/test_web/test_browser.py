"""What a person sees and does, in a real browser against the real server."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.media_files import clip_file
from tests.test_blackbox.program import Program
from tests.test_web.conftest import HOSTILE, NAMES, Visitor

pytestmark = pytest.mark.browser

SECONDS = 1000
IDLE_MS = 6000
"""Longer than a page that is told nothing would wait until it asks."""
ANY_FRACTION = re.compile(r"0\.\d+")
PICTURES = """[...document.querySelectorAll(".frame img:not(.backdrop)")].map((image) => {
  image.loading = "eager";
  return image.naturalWidth > 0;
})"""


def all_pictures_loaded(page: Page, count: int) -> None:
    """Wait until so many thumbnails are there."""
    page.wait_for_function(f"(count) => {PICTURES}.filter(Boolean).length === count", arg=count)


def many(folder: Path, count: int) -> None:
    """Put so many copies of one clip into a folder."""
    folder.mkdir()
    for number in range(count):
        shutil.copyfile(clip_file(), folder / f"{number:04}.mp4")


def test_the_list_shows_every_clip_with_its_picture(visitor: Visitor, site: Program) -> None:
    """Also those with awkward names; the broken one has a drawing instead, and says so."""
    page = visitor.look(site)
    expect(page.locator(".card")).to_have_count(len(NAMES) + 4)
    all_pictures_loaded(page, len(NAMES) + 3)
    expect(page.locator(".card.broken .state")).to_have_text("Cannot be read")
    visitor.check(site)


def test_nothing_jumps_when_the_pictures_arrive(visitor: Visitor, site: Program) -> None:
    """A frame has its height before its picture has come, whatever the picture's shape."""
    page = visitor.page
    page.route("**/thumbnail?**", lambda route: route.abort())
    page.goto(str(site.client.base_url))
    boxes = "() => [...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect().height)"
    before = page.evaluate(boxes)
    page.unroute("**/thumbnail?**")
    page.reload()
    all_pictures_loaded(page, len(NAMES) + 3)
    assert page.evaluate(boxes) == before


def test_a_hostile_name_is_text(visitor: Visitor, site: Program) -> None:
    """HTML in a name is shown, not obeyed: in the list, on the video's page and in a search."""
    page = visitor.look(site, "/?q=%3Cimg")
    expect(page.locator(".card .name")).to_have_text([HOSTILE])
    expect(page.locator(".results h2")).to_have_text("1 video for “<img”")
    page.locator(".card").click()
    expect(page.locator("h1")).to_have_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    visitor.check(site)


def test_search_finds_characters_without_spaces(visitor: Visitor, site: Program) -> None:
    """The slash key leads to the box; Enter searches."""
    page = visitor.look(site)
    page.keyboard.press("/")
    page.keyboard.type("東京")
    page.keyboard.press("Enter")
    expect(page.locator(".card .name")).to_have_text(["桜.mp4"])
    expect(page.get_by_role("searchbox")).to_have_value("東京")
    visitor.check(site)


def test_another_order_is_chosen_in_the_list(visitor: Visitor, site: Program) -> None:
    """Choosing is enough, no button is pressed."""
    page = visitor.look(site)
    page.get_by_label("Sort").select_option("name")
    page.wait_for_url("**/?sort=name")
    assert page.locator(".card .name").first.inner_text() == HOSTILE
    expect(page.get_by_label("Sort")).to_have_value("name")


def test_the_path_can_be_copied(browser: Browser, site: Program) -> None:
    """What is copied is the path itself, not what stands for its line break."""
    base = str(site.client.base_url)
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], base_url=base)
    page = context.new_page()
    page.goto("/?q=lines")
    page.locator(".card").click()
    expect(page.locator("h1")).to_have_text("two\\nlines.mp4")
    page.get_by_role("button", name="Copy path").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").endswith("/two\nlines.mp4")
    context.close()


@pytest.mark.parametrize("path", ["/", "/docs", "/?q=rich", "/nothing", "video"])
def test_a_phone_never_scrolls_sideways(phone: Visitor, site: Program, path: str) -> None:
    """Neither long names nor tables nor examples make the page wider than the screen."""
    if path == "video":
        path = "/videos/" + next(video["id"] for video in site.videos() if video["filename"].startswith("nnn"))
    page = phone.look(site, path)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_reference_links_to_what_it_names(visitor: Visitor, site: Program) -> None:
    """Every link within the page has a target, and a target is shown."""
    page = visitor.look(site, "/docs#schema-VideoResponse")
    lost = (
        "() => [...document.querySelectorAll('a[href^=\"#\"]')].filter((a) => !document.querySelector(a.hash)).length"
    )
    assert page.evaluate(lost) == 0
    expect(page.locator("#schema-VideoResponse")).to_be_in_viewport()
    visitor.check(site)


def test_the_page_can_be_read_without_javascript(browser: Browser, site: Program) -> None:
    """Everything but what needs a script is there, and nothing that needs one is."""
    context = browser.new_context(java_script_enabled=False, base_url=str(site.client.base_url))
    page = context.new_page()
    page.goto("/")
    expect(page.locator(".card")).to_have_count(len(NAMES) + 4)
    expect(page.locator(".live-only:visible")).to_have_count(0)
    expect(page.get_by_role("button", name="Apply")).to_be_visible()
    context.close()


def test_a_folder_is_scanned_from_the_page(visitor: Visitor, start: Callable[[], Program], tmp_path: Path) -> None:
    """The job appears, ends, and its videos show up, without the page being loaded again."""
    program = start()
    page = visitor.look(program)
    expect(page.get_by_role("heading", name="Your library is empty")).to_be_visible()
    page.evaluate("window.sameDocument = true")

    see_a_refusal(page, str(tmp_path / "nowhere"))
    visitor.forgive("400 (Bad Request)")

    many(tmp_path / "many", 300)
    page.get_by_label("Folder on the server").fill(str(tmp_path / "many"))
    page.get_by_role("button", name="Scan", exact=True).click()
    expect(page.locator(".job")).to_be_visible()
    expect(page.locator("#scan-problem")).to_be_hidden()
    expect(page.locator(".ended-head .badge")).to_have_text("Done", timeout=60 * SECONDS)
    expect(page.locator(".job")).to_have_count(0)
    expect(page.locator(".results h2")).to_have_text("300 videos")
    expect(page.locator(".card")).to_have_count(48)
    expect(page.get_by_role("status")).to_contain_text("300 new")
    expect(page.locator(".folder")).to_contain_text("300 videos")

    page.get_by_role("button", name="again").click()
    expect(page.locator(".ended-head")).to_contain_text("300 unchanged", timeout=60 * SECONDS)
    assert page.evaluate("window.sameDocument")

    page.get_by_role("link", name="Next page").click()
    expect(page.locator(".card")).to_have_count(48)
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    visitor.check(program)


def see_a_refusal(page: Page, path: str) -> None:
    """Ask for a scan that is refused, and see why."""
    page.get_by_label("Folder on the server").fill(path)
    page.get_by_role("button", name="Scan", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("does not exist")
    expect(page.get_by_label("Folder on the server")).to_have_value(path)


def test_a_running_job_shows_its_progress_and_can_be_cancelled(
    visitor: Visitor, start: Callable[[], Program], tmp_path: Path
) -> None:
    """The button keeps its focus while the figures beside it change."""
    program = start()
    many(tmp_path / "many", 4000)
    job_id = program.submit(tmp_path / "many")
    page = visitor.page
    page.goto(str(program.client.base_url))
    expect(page.locator(".figures")).to_contain_text("Examining files")
    cancel = page.get_by_role("button", name="Cancel")
    cancel.focus()
    before = page.locator(".figures").text_content() or ""
    expect(page.locator(".figures")).not_to_have_text(before)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", ANY_FRACTION)
    expect(cancel).to_be_focused()
    cancel.press("Enter")
    expect(page.locator(".ended-head .badge").first).to_have_text("Cancelled", timeout=120 * SECONDS)
    assert program.job(job_id)["status"] == "cancelled"
    visitor.check(program)


def test_changes_show_without_asking(visitor: Visitor, start: Callable[[], Program], tmp_path: Path) -> None:
    """The server tells of them; while nothing changes, nothing is asked."""
    program = start()
    page = visitor.look(program)
    page.wait_for_timeout(IDLE_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(IDLE_MS)
    assert asked == []
    program.submit(tmp_path)
    expect(page.locator(".ended-head .badge")).to_have_text("Done", timeout=120 * SECONDS)
    assert not [url for url in asked if url.endswith("/events")]
    visitor.check(program)


def test_a_page_that_nobody_sees_keeps_no_connection(visitor: Visitor, start: Callable[[], Program]) -> None:
    """Browsers allow a server only a few of them; it is there again with the reader."""
    program = start()
    page = visitor.look(program)
    streams = "stoat_event_streams 1.0"
    until(lambda: streams in program.client.get("/metrics").text)
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    until(lambda: streams not in program.client.get("/metrics").text)
    page.evaluate(hide, False)
    until(lambda: streams in program.client.get("/metrics").text)
    visitor.check(program)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the server can be asked."""
    give_up = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.parametrize("refused", [True, False])
def test_a_page_that_is_told_nothing_asks(
    visitor: Visitor, start: Callable[[], Program], tmp_path: Path, refused: bool
) -> None:
    """As behind a proxy that lets no streams through, or when there are too many of them."""
    program = start()
    if refused:
        visitor.page.route("**/api/v1/events", lambda route: route.fulfill(status=503, body="{}"))
    else:
        visitor.page.route("**/api/v1/events", lambda route: route.abort())
    page = visitor.look(program)
    program.submit(tmp_path)
    expect(page.locator(".ended-head .badge")).to_have_text("Done", timeout=120 * SECONDS)
    expect(page.locator("#unreachable")).to_be_hidden()
    page.route("**/fragments/jobs", lambda route: route.abort())
    expect(page.locator("#unreachable")).to_be_visible(timeout=15 * SECONDS)
    page.unroute("**/fragments/jobs")
    expect(page.locator("#unreachable")).to_be_hidden(timeout=15 * SECONDS)


def test_the_page_says_that_the_server_is_gone(visitor: Visitor, start: Callable[[], Program]) -> None:
    """And goes on by itself when it is back."""
    program = start()
    page = visitor.look(program)
    port = int(program.client.base_url.port or 0)
    program.stop()
    expect(page.locator("#unreachable")).to_be_visible(timeout=120 * SECONDS)
    again = Program(program.data_dir, STOAT_PROBE_WORKERS="1", port=port)
    try:
        expect(page.locator("#unreachable")).to_be_hidden(timeout=120 * SECONDS)
        until(lambda: "stoat_event_streams 1.0" in again.client.get("/metrics").text)
    finally:
        again.stop()
