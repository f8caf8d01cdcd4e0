"""`stoat search`, `show`, `jobs` and `doctor` on a library that a real scan has filled."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.cli import main as cli
from stoat_ferret.cli import search as search_command
from tests.integration.cli_program import command, environment, stoat
from tests.media_files import AudioTrack, place_clip, truncate

EVIL = b"[red]\x1b]0;evil\n\xff.mp4"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some videos, one with everything in it, one with a name that is no text, one that is cut off."""
    folder = tmp_path_factory.mktemp("films")
    rich: dict[str, Any] = {"container": "mkv", "chapters": ("Arrival", "Swim"), "audio": (AudioTrack(language="deu"),)}
    place_clip(folder / "a" / "beach.mkv", title="A day at the [beach]", frames=50, rotation=0, **rich)
    place_clip(folder / "a" / "turned.mp4", rotation=90, seed=5)
    place_clip(os.fsencode(folder) + b"/" + EVIL, seed=2)
    place_clip(folder / "cut.mp4", fast_start=False, seed=3)
    truncate(folder / "cut.mp4", 0.5)
    os.utime(folder / "cut.mp4", (0, 0))  # or it might be a copy that goes on
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Path:
    """The data of a library that knows them."""
    folder = tmp_path_factory.mktemp("data")
    done = stoat("scan", films, "--data-dir", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command on that library in this process; gives status, output and what was told."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([*map(str, arguments), "--data-dir", str(data)])
        out, told = capsys.readouterr()
        return status, out, told

    return call


def rows(out: str) -> list[list[str]]:
    """Read a table."""
    return [line.split("\t") for line in out.splitlines()]


def test_a_search_gives_a_line_a_video(run: Any, films: Path) -> None:
    """Id, path and facts, separated by tabs."""
    status, out, told = run("search", "beach")
    assert (status, told) == (0, "")
    [[video_id, path, length, picture, codecs, size, state]] = rows(out)
    assert path == f"{films}/a/beach.mkv"
    assert (length, picture, codecs, state) == ("2.0 s", "160x96 25 fps", "h264 + aac", "available")
    assert size.endswith("KiB")
    assert json.loads(run("show", video_id, "--json")[1])["id"] == video_id


def test_a_search_takes_words_apart_and_keeps_quoted_ones(run: Any) -> None:
    """As the API does."""
    assert len(rows(run("search", "day", "beach")[1])) == 1
    assert rows(run("search", '"beach day"')[1]) == []


def test_a_hostile_name_is_one_line(run: Any, films: Path) -> None:
    """In tables as in JSON, where its bytes are exact."""
    assert [row[1] for row in rows(run("search", "evil")[1])] == [f"{films}/[red]\\x1b]0;evil\\n\\xff.mp4"]
    _, out, _ = run("search", "evil", "--json")
    assert "\x1b" not in out
    [video] = json.loads(out)["videos"]
    assert video["path_bytes"] is not None


def test_pages_are_joined(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small they are; what is left is told."""
    monkeypatch.setattr(search_command, "PAGE", 2)
    status, out, told = run("search", "m", "--all", "--sort", "name")
    assert status == 0
    names = [row[1].rpartition("/")[2] for row in rows(out)]
    assert names == sorted(names)
    assert len(names) == 3
    status, out, told = run("search", "m", "--limit", "1")
    assert len(rows(out)) == 1
    assert told == "1 of 3 shown; --all shows the rest.\n"


def test_a_search_as_json_has_the_shape_of_the_api(run: Any) -> None:
    """With the cursor of what is left."""
    document = json.loads(run("search", "m", "--limit", "2", "--json")[1])
    assert (document["query"], document["total"], len(document["videos"])) == ("m", 3, 2)
    assert document["next_cursor"]
    assert json.loads(run("search", "m", "--all", "--json")[1])["next_cursor"] is None


def test_a_search_that_finds_nothing_says_so(run: Any) -> None:
    """Which is no error."""
    status, out, told = run("search", "nothing like it")
    assert (status, out) == (0, "")
    assert told.startswith("Nothing was found.")


def test_a_query_that_cannot_be_understood(run: Any) -> None:
    """Neither an order that is none."""
    assert run("search", "a", "--sort", "colour")[0] == 2
    assert run("search", " ")[0] == 2


def test_in_a_terminal_ids_are_left_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fill half a line, and `show` takes paths."""
    monkeypatch.setattr("stoat_ferret.cli.output.in_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run("search", "beach")
    heading, line = out.splitlines()
    assert heading.split() == ["Path", "Length", "Picture", "Codecs", "Size", "State"]
    assert "beach.mkv" in line


def test_show_tells_everything(run: Any, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By path, also a relative one: facts, streams, chapters, tags."""
    monkeypatch.chdir(films / "a")
    status, out, told = run("show", "beach.mkv")
    assert (status, told) == (0, "")
    for part in ("A day at the [beach]", "160x96 25 fps", "\tdeu\t", "Arrival\t0.0 s\t1.0 s", "2.0 s", "matroska"):
        assert part in out
    assert "turned by 90°" in run("show", "turned.mp4")[1]


def test_show_tells_where_it_was_filmed_to_those_who_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an option."""
    tags = {"make": "Canon", "model": "EOS R5", "timecode": "10:00:00:00", "location": "+51.4779-000.0015+046.0/"}
    name = tmp_path / "v" / "filmed.mov"
    place_clip(name, container="mov", tags=tags)
    place_clip(tmp_path / "v" / "plain.mov")

    def run(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        status = cli.main([*map(str, arguments), "--data-dir", str(tmp_path / "data")])
        return status, capsys.readouterr().out

    run("scan", tmp_path / "v")
    out = run("show", name)[1]
    assert "Canon EOS R5" in out
    assert "10:00:00:00" in out
    assert "51.47" not in out + run("show", name, "--json")[1]
    assert "51.477900, -0.001500, 46 m" in run("show", name, "--location")[1]
    assert json.loads(run("show", name, "--location", "--json")[1])["location"]["altitude"] == 46.0
    assert "Location" not in run("show", tmp_path / "v" / "plain.mov", "--location")[1]


def test_show_finds_any_name(run: Any, films: Path) -> None:
    """Also one that is not text, as the command line hands it over."""
    document = json.loads(run("show", os.fsdecode(os.fsencode(films) + b"/" + EVIL), "--json")[1])
    assert document["streams"][0]["kind"] == "video"


def test_show_finds_through_a_link(run: Any, films: Path, tmp_path: Path) -> None:
    """To the folder, say."""
    (tmp_path / "link").symlink_to(films)
    assert run("show", tmp_path / "link" / "a" / "beach.mkv")[0] == 0


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("cut.mp4", "no usable video: "),
        ("a/new.mp4", "is not in the catalogue. `stoat scan "),
        ("a/away.mp4", "neither in the catalogue nor on disk"),
        ("nowhere/away.mp4", "neither in the catalogue nor on disk"),
    ],
)
def test_show_says_why_there_is_nothing(run: Any, films: Path, name: str, part: str) -> None:
    """And what to do."""
    new = films / "a" / "new.mp4"
    new.write_text("")
    status, out, told = run("show", films / name)
    new.unlink()
    assert (status, out) == (4, "")
    assert part in told


def test_an_id_that_nobody_has(run: Any) -> None:
    """Is not found."""
    assert run("show", "01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3")[0] == 4


def test_a_scan_that_has_nothing_to_do_says_so(run: Any, films: Path) -> None:
    """And where it found what."""
    status, out, _ = run("scan", films / "a", "--dry-run")
    assert status == 0
    assert out.startswith("Would be done: 2 files scanned: 2 unchanged\n")
    assert json.loads(run("scan", films / "a", "--dry-run", "--json")[1])["result"]["unchanged"] == 2


def test_jobs_are_listed_shown_and_explained(run: Any, films: Path) -> None:
    """With what they did, and to which files."""
    status, out, _ = run("jobs", "list", "--type", "scan")
    assert status == 0
    job_id, job_type, state, _, about = rows(out)[-1]
    assert (job_type, state, about) == ("scan", "complete", str(films))
    assert run("jobs", "list", "--status", "failed")[1:] == ("", "There are no such jobs.\n")
    status, out, told = run("jobs", "show", job_id.upper())
    assert status == 0
    assert "complete" in out
    assert "4 files scanned: 3 new, 1 failed" in out
    assert "--failed" in told
    [[path, reason]] = rows(run("jobs", "show", job_id, "--failed")[1])
    assert path == f"{films}/cut.mp4"
    assert "moov" in reason
    assert json.loads(run("jobs", "show", job_id, "--failed", "--json")[1])["files"][0]["code"] == "INCOMPLETE_FILE"


def test_jobs_that_are_not_there(run: Any) -> None:
    """Whether it could be an id or not."""
    assert run("jobs", "show", "01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3")[0] == 4
    assert "is not a UUID" in run("jobs", "cancel", "a job")[2]


def test_a_job_that_waits_is_cancelled_once(run: Any, films: Path) -> None:
    """The second time it has ended already."""
    _, out, _ = run("scan", films, "--detach", "--json", "--force", "--no-recursive")
    job_id = json.loads(out)["job_id"]
    assert "--force --no-recursive" in run("jobs", "list", "--limit", "1")[1]
    assert "The newest 1 are shown" in run("jobs", "list", "--limit", "1")[2]
    assert json.loads(run("jobs", "list", "--json")[1])["jobs"][0]["job_id"] == job_id
    assert run("jobs", "cancel", job_id)[:2] == (0, "cancelled\n")
    status, _, told = run("jobs", "cancel", job_id, "--json")
    assert status == 5
    assert told.startswith("error: ")
    _, out, _ = run("scan", films, "--detach", "--no-recursive", "--dry-run")
    assert json.loads(run("jobs", "cancel", out.strip(), "--json")[1])["status"] == "cancelled"


@pytest.mark.parametrize("arguments", [["search", "a"], ["show", "a"], ["jobs", "list"]])
def test_reading_commands_make_no_library(tmp_path: Path, arguments: list[str]) -> None:
    """A misspelt folder is told, not made."""
    status = cli.main([*arguments, "--data-dir", str(tmp_path / "data")])
    assert status == 3
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_trouble(data: Path) -> None:
    """As in `stoat search mp4 | head -1`."""
    search = subprocess.Popen(
        command("search", "m", "--data-dir", data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert search.stdout is not None
    search.stdout.close()
    assert search.stderr is not None
    with search.stderr as stream:
        assert stream.read() == b""
    assert search.wait() == 141


def test_a_doctor_finds_a_healthy_library_healthy(data: Path) -> None:
    """Line by line, and as JSON."""
    done = stoat("doctor", "--data-dir", data, STOAT_PORT="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.startswith(("ok", "warn", "      ")) for line in done.stdout.splitlines())
    for part in ("PyAV", "FFmpeg", "FTS5", "sound, schema", "a limit on memory", "no job waits"):
        assert part in done.stdout
    document = json.loads(stoat("doctor", "--data-dir", data, "--json", STOAT_PORT="0").stdout)
    assert document["status"] in ("ok", "warn")
    assert {"name", "verdict", "detail", "mend"} == set(document["checks"][0])


def test_a_doctor_changes_nothing(tmp_path: Path) -> None:
    """Also where there is nothing yet."""
    assert stoat("doctor", "--data-dir", tmp_path / "data", STOAT_PORT="0").returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["library.db", "jobs.db"])
def test_a_doctor_finds_a_broken_database(data: Path, tmp_path: Path, name: str) -> None:
    """And says how to mend it; the command ends with 1."""
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / name).write_bytes(b"garbage" * 1000)
    for left in (tmp_path / "data").glob(name + "-*"):
        left.unlink()
    done = stoat("doctor", "--data-dir", tmp_path / "data", STOAT_PORT="0")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("fail")]
    assert name in line
    assert "→ Stop stoat, move" in done.stdout
    assert "1 check failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_doctor_sees_jobs_that_wait_and_workers(run: Any, films: Path, data: Path) -> None:
    """Waiting jobs without a worker are a warning."""
    job_id = run("scan", films, "--detach", "--no-recursive")[1].strip()
    try:
        done = stoat("doctor", "--data-dir", data, STOAT_PORT="0")
        assert "Jobs wait, and no worker is alive." in done.stdout
    finally:
        run("jobs", "cancel", job_id)


def test_a_path_is_explained(run: Any, films: Path) -> None:
    """For people and for programs; a name cannot command the terminal."""
    status, out, _ = run("explain", films / "cut.mp4")
    assert status == 0
    assert "failed" in out
    status, out, _ = run("explain", os.fsdecode(os.fsencode(films) + b"/" + EVIL), "--json")
    assert (status, json.loads(out)["decision"]) == (0, "available")
    assert "\x1b" not in out


def test_changes_are_told_from_a_number_on(run: Any) -> None:
    """A line each."""
    status, out, _ = run("changes")
    assert status == 0
    assert [row[:3] for row in rows(out)] == [[str(number), "added", "available"] for number in (1, 2, 3)]
    status, out, _ = run("changes", "--after", "2", "--json")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == [3]


def test_nothing_is_set_aside_where_all_went_well(run: Any, films: Path) -> None:
    """And nothing can be tried again."""
    assert run("quarantine", "list")[2] == "No file is set aside.\n"
    status, _, told = run("quarantine", "retry", films / "cut.mp4")
    assert status != 0
    assert "is not set aside" in told
    assert run("quarantine", "retry", "--all")[0] == 0
    assert run("quarantine", "retry")[0] == 2


def test_a_dry_run_is_printed_as_a_difference(films: Path, tmp_path: Path) -> None:
    """A line a file, each with its sign; a single file can be scanned alone."""
    folder, data = tmp_path / "films", tmp_path / "data"
    shutil.copytree(films / "a", folder)
    assert stoat("scan", folder / "beach.mkv", "--data-dir", data).returncode == 0
    done = stoat("scan", folder, "--data-dir", data, "--dry-run")
    assert done.stdout.splitlines()[0] == f"+ {folder}/turned.mp4"
    assert stoat("scan", folder, "--data-dir", data).returncode == 0
    (folder / "beach.mkv").rename(folder / "shore.mkv")
    (folder / "turned.mp4").unlink()
    lines = stoat("scan", folder, "--data-dir", data, "--dry-run").stdout.splitlines()
    assert lines[:2] == [
        f"> {folder}/beach.mkv -> {folder}/shore.mkv",
        f"- {folder}/turned.mp4  (The file is no longer there.)",
    ]


def test_a_video_is_edited_and_found_by_what_was_set(run: Any, films: Path) -> None:
    """By its id or its file; what is empty is taken away."""
    film = films / "a" / "turned.mp4"
    status, out, _ = run(
        "edit", film, "--label", "to cut", "--label", "good", "--rating", "4", "--title", "Turned about"
    )
    assert status == 0
    assert "good, to cut" in out
    assert rows(run("search", "turned about")[1])[0][1] == str(film)
    shown = json.loads(run("edit", film, "--unlabel", "good", "--rating", "", "--title", "", "--json")[1])
    assert (shown["labels"], shown["rating"], shown["title"]) == (["to cut"], None, None)
    assert run("edit", film)[0] == 2
    assert run("edit", film, "--rating", "9")[0] == 2
    assert run("edit", film, "--rating", "good")[0] == 2


def test_libraries_come_and_go(run: Any, tmp_path: Path) -> None:
    """Made, set, purged, forgotten; files are never touched."""
    folder = tmp_path / "more"
    place_clip(folder / "x.mp4", seed=9)
    status, out, _ = run("libraries", "add", folder, "--ignore", "proxies/", "--json")
    assert (status, json.loads(out)["ignore"]) == (0, ["proxies/"])
    status, out, _ = run("libraries", "set", folder, "--no-ignore", "--keep-missing-days", "9", "--json")
    assert (json.loads(out)["ignore"], json.loads(out)["keep_missing_days"]) == ([], 9)
    status, out, _ = run("libraries", "set", folder, "--keep-missing-days", "0", "--json")
    assert json.loads(out)["keep_missing_days"] is None
    status, out, _ = run("libraries", "set", folder, "--watch")
    assert "as soon as a worker looks" in out
    status, out, _ = run("libraries", "set", folder, "--no-watch", "--json")
    assert json.loads(out)["watch"] is False
    assert run("libraries", "set", folder)[0] == 2
    assert run("libraries", "set", folder, "--ignore", "!")[0] == 2
    status, out, told = run("libraries", "purge", folder)
    assert (status, len(out.split()), "nobody runs jobs" in told) == (0, 1, True)
    status, out, _ = run("libraries", "remove", folder, "--yes")
    assert (status, out) == (0, f"Forgotten: {folder} with 0 entries.\n")
    assert (folder / "x.mp4").exists()


def test_files_are_verified_on_the_command_line(run: Any, films: Path, tmp_path: Path) -> None:
    """Hashed, found right, found damaged; a manifest lists what is known."""
    folder = tmp_path / "archive"
    shutil.copytree(films / "a", folder)
    data = ("--data-dir", str(tmp_path / "data"))
    assert stoat("scan", folder, *data).returncode == 0
    assert stoat("manifest", folder, *data).stderr == "2 videos left out: not hashed yet. `stoat verify` does that.\n"
    done = stoat("verify", folder, "--rate", "1G", *data)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "2 hashed")
    assert stoat("manifest", folder, "--output", tmp_path / "list.b3", *data).returncode == 0
    names = [line.split("  ", 1)[1] for line in (tmp_path / "list.b3").read_text().splitlines()]
    assert names == ["beach.mkv", "turned.mp4"]
    film = folder / "turned.mp4"
    times = film.stat()
    film.write_bytes(film.read_bytes()[:-1] + b"?")
    os.utime(film, ns=(times.st_atime_ns, times.st_mtime_ns))
    done = stoat("verify", "--check", *data)
    assert (done.returncode, "1 verified, 1 damaged" in done.stdout) == (1, True)
    done = stoat("verify", "--damaged", *data)
    assert done.returncode == 1
    shown = stoat("show", film, *data).stdout
    assert re.search(r"^Checksum\s+blake3 [0-9a-f]{64}, checked 20", shown, re.MULTILINE)
    assert re.search(r"^Damaged since\s+20", shown, re.MULTILINE)
    known = json.loads(stoat("show", folder / "beach.mkv", "--json", *data).stdout)["checksum"]
    assert (known["algorithm"], known["digest"] in (tmp_path / "list.b3").read_text()) == ("blake3", True)
    video_id = rows(done.stdout)[0][0]
    assert stoat("verify", "--accept", video_id, *data).returncode == 0
    assert stoat("verify", "--damaged", *data).returncode == 0
    assert stoat("verify", "--rate", "fast", *data).returncode == 2
