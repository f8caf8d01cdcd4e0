"""A browser, and servers for it to look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.media_files import AudioTrack, place_clip
from tests.test_blackbox.program import Program

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HOSTILE = "<img src=x onerror=alert(1)>.mp4"
NAMES = ("beach.mp4", HOSTILE, "東京/桜.mp4", "two\nlines.mp4", "evil \u202e4pm.mp4", "n" * 251 + ".mp4", "שלום.mp4")
NOT_UTF8 = b"not \xff utf8.mp4"
WATCH = """
window.broken = [];
addEventListener("securitypolicyviolation", (event) => broken.push(`policy: ${event.violatedDirective}`));
addEventListener("unhandledrejection", (event) => broken.push(`rejection: ${event.reason}`));
window.alert = () => broken.push("alert");
"""


def fill(folder: Path) -> Path:
    """Put a clip of every awkward name, and of every shape, into a folder."""
    for seed, name in enumerate(NAMES):
        place_clip(folder / name, seed=seed)
    place_clip(os.fsencode(folder) + b"/" + NOT_UTF8, seed=20)
    place_clip(folder / "portrait.mp4", size=(96, 160))
    place_clip(
        folder / "rich.mkv", container="mkv", size=(192, 80), chapters=("<i>One</i>", "Two"), audio=(AudioTrack(),)
    )
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium of this machine. Not for the whole session: its driver keeps an event loop running in this thread."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no chromium here; install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server whose library holds the clips of `fill`; tests only look at it."""
    program = Program(tmp_path_factory.mktemp("site"))
    try:
        folder = fill(tmp_path_factory.mktemp("footage"))
        place_clip(folder / "spoilt.mp4", seed=30)
        assert program.scan(folder)["new"] == len(NAMES) + 4
        (folder / "spoilt.mp4").write_bytes(b"no longer a video")
        assert program.scan(folder)["failed"] == 1
        yield program
    finally:
        program.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Program]]:
    """Start a server with an empty library and one probe process."""
    running: list[Program] = []

    def _start() -> Program:
        running.append(Program(tmp_path / "data", STOAT_PROBE_WORKERS="1"))
        return running[-1]

    yield _start
    for program in running:
        program.stop()


class Visitor:
    """A person with a browser of their own, who notices whatever goes wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.page.add_init_script(WATCH)
        self._wrong: list[str] = []
        self._addresses: list[str] = []
        self.page.on("console", lambda said: self._wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self._wrong.append(str(error)))
        self.page.on("request", lambda request: self._addresses.append(request.url))

    def look(self, program: Program, path: str = "/") -> Page:
        """Open a page of a server and wait until it has loaded."""
        self.page.goto(str(program.client.base_url).rstrip("/") + path)
        self.page.wait_for_load_state("networkidle")
        return self.page

    def forgive(self, text: str) -> None:
        """Drop what the browser itself said of one answer that was meant to be refused."""
        [expected] = [said for said in self._wrong if text in said]
        self._wrong.remove(expected)

    def check(self, program: Program) -> None:
        """Fail if anything went wrong, or if anybody but the server was asked for something."""
        base = str(program.client.base_url)
        assert [url for url in self._addresses if not url.startswith(base)] == []
        assert self._wrong + self.page.evaluate("broken") == []


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A person at a desk."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield Visitor(context)
    context.close()


@pytest.fixture
def phone(browser: Browser) -> Iterator[Visitor]:
    """A person with a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    yield Visitor(context)
    context.close()
