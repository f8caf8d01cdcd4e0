"""What the documents say is so: links lead somewhere, and the README's walk-through works word for word."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stoat_ferret.media.info import StreamInfo
from tests.test_blackbox.program import Program

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def prose(text: str) -> str:
    """Leave out what stands in code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    """A reader who follows a link finds a page."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose(page.read_text()))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """No page is written and then never found."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose(page.read_text()))
        waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert sorted(set(PAGES) - seen) == []


def test_the_reference_is_what_the_code_says() -> None:
    """The pages under docs/reference are generated; `make docs` writes them anew."""
    command = [sys.executable, "tools/make_reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_field_of_a_stream_is_explained() -> None:
    """Whoever stores another one says what it means."""
    page = (ROOT / "docs/explanation/probing.md").read_text()
    assert [name for name in StreamInfo.__dataclass_fields__ if f"`{name}`" not in page] == []


def walk_through(title: str = "Walk-through") -> list[str]:
    """Give the commands of a section of the README, a string for each block."""
    section = (ROOT / "README.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through is made of curl commands")
def test_the_walk_through_works_word_for_word(tmp_path: Path) -> None:
    """Each command, run in order in one shell against the demo library, says what the README says that it says."""
    made = subprocess.run(
        [sys.executable, "tools/demo_clips.py", str(tmp_path / "demo-footage")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    program = Program(tmp_path / "demo-data", str(tmp_path / "demo-footage"))
    try:
        [first] = program.client.get("/api/v1/jobs").json()["jobs"]
        program.finish(first["job_id"])
        blocks = walk_through()
        assert len(blocks) >= 7
        script = "set -eu\n" + "\necho; echo ====\n".join(blocks)
        script = script.replace("http://127.0.0.1:8765", str(program.client.base_url).rstrip("/"))
        # The picture is kept, to be looked at here.
        script = script.replace("rm fjord.jpg\n", "")
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    finally:
        program.stop()
    assert done.returncode == 0, done.stderr
    answers = [part.strip() for part in done.stdout.split("====")]
    submitted, listed, waited, ledger, searched, looked_into, forgotten, refused = answers
    assert set(json.loads(submitted)) == {"job_id"}
    assert len(json.loads(listed)["jobs"]) == 2
    job = json.loads(waited[waited.index("}{") + 1 :])
    assert job["job_id"] == json.loads(submitted)["job_id"]
    assert (job["status"], job["error"]) == ("complete", None)
    claimed = re.search(r'"result": (\{.*?\}), "error": null', (ROOT / "README.md").read_text(), re.DOTALL)
    assert claimed is not None
    same = ("scanned", "new", "updated", "moved", "restored", "unchanged", "missing", "skipped", "failed", "bytes_read")
    stated = json.loads(claimed[1])
    assert {name: job["result"][name] for name in same} == {name: stated[name] for name in same}
    assert ledger.count('"outcome":"failed"') == stated["failed"]
    assert ledger.count('"outcome":"skipped"') == stated["skipped"]
    assert "moov" in ledger, "the truncated file says what it lacks"
    assert "Été" in searched
    assert "東京" in searched
    assert json.loads(looked_into)["filename"].startswith("Fjord")
    assert (tmp_path / "fjord.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert forgotten == "204"
    assert json.loads(refused)["code"] == "INVALID_PATH"


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through is made of curl commands")
def test_so_does_the_one_on_postgres(tmp_path: Path) -> None:
    """The scan ends as the README says, though one of its two workers is killed on the way."""
    script = "set -eu\n" + "\necho ====\n".join(walk_through("On Postgres, with two workers"))
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    for word, meant in (
        ("make venv-dev", ":"),
        (".venv/bin/python tools/", f"{sys.executable} {ROOT}/tools/"),
        (".venv/bin/stoat ", f"{sys.executable} -m stoat_ferret "),
        ("8766", str(port)),
    ):
        assert word in script
        script = script.replace(word, meant)
    stop = f"kill -9 ${{SERVER:-}} ${{WORKER:-}}; {sys.executable} {ROOT}/tools/postgres.py stop demo-data/postgres"
    script = f"trap '{stop} || true' EXIT\n{script}\ntrap - EXIT\n"
    # In another folder coverage does not find what it is to measure, and says so on everybody's standard error.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        said, complaints = shell.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGTERM)  # the shell's trap then ends what it has started
        said, complaints = shell.communicate(timeout=120)
    assert shell.returncode == 0, complaints
    job = json.loads(said.split("====")[3])
    claimed = re.search(r'"scanned": 720.*?"failed": 60', (ROOT / "README.md").read_text(), re.DOTALL)
    assert claimed is not None
    stated = json.loads("{" + claimed[0] + "}")
    assert job["status"] == "complete"
    assert {name: job["result"][name] for name in stated} == stated
