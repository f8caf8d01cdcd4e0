"""`stoat scan`: with and without a server, to its end and cancelled."""

import asyncio
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from stoat_ferret.api.services.scan import scan_request
from stoat_ferret.cli.following import Following
from stoat_ferret.cli.output import SilentProgress
from stoat_ferret.cli.worker import NICENESS
from stoat_ferret.errors import ConfigurationError
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.jobs.supervisor import WorkerSupervisor
from stoat_ferret.runtime import Runtime, open_runtime
from stoat_ferret.scan.scope import ScanOptions
from tests.factories import make_settings
from tests.integration.cli_program import (
    PATIENCE,
    SECONDS,
    command,
    ctrl_c,
    ended,
    environment,
    large_folder,
    start,
    stoat,
)

T = TypeVar("T")
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_scan_needs_no_server(tmp_path: Path, clips: Path) -> None:
    """It says what it did and why files failed; done again, it reads nothing."""
    done = stoat("scan", clips, "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 files scanned: 2 new, 1 skipped, 1 failed" in done.stdout
    assert re.search(rf"^{clips}/cut\.mp4\t.*moov", done.stdout, re.MULTILINE)
    again = stoat("scan", clips, "--data-dir", tmp_path, "--strict")
    assert "unchanged" in again.stdout
    assert "0 B read" in again.stdout
    assert again.returncode == 1, "with --strict, a failed file counts"


def test_json_is_the_job_and_nothing_else(tmp_path: Path, clips: Path) -> None:
    """The same document that the API gives."""
    done = stoat("scan", clips, "--data-dir", tmp_path, "--json", "--dry-run", "--no-recursive")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    job = json.loads(done.stdout)
    assert (job["status"], job["progress"], job["result"]["new"]) == ("complete", 1.0, 1)
    assert job["payload"]["dry_run"] is True
    shown = stoat("jobs", "show", job["job_id"], "--json", "--data-dir", tmp_path)
    assert json.loads(shown.stdout) == job


def test_a_detached_scan_waits_for_whoever_runs_jobs(tmp_path: Path, clips: Path) -> None:
    """Its id is printed, and that nobody runs jobs now; the next scan's worker does both."""
    left = stoat("scan", clips, "--data-dir", tmp_path, "--detach")
    assert left.returncode == 0, left.stderr
    assert "nobody runs jobs" in left.stderr
    job_id = left.stdout.strip()
    assert json.loads(stoat("jobs", "show", job_id, "--json", "--data-dir", tmp_path).stdout)["status"] == "pending"
    joined = json.loads(stoat("scan", clips, "--data-dir", tmp_path, "--json").stdout)
    assert (joined["job_id"], joined["status"]) == (job_id, "complete")


@pytest.mark.parametrize(("name", "status", "part"), [("away", 4, "does not exist"), ("file", 4, "not a folder")])
def test_a_folder_that_cannot_be_scanned(tmp_path: Path, name: str, status: int, part: str) -> None:
    """Is refused before a job is made, in one line."""
    (tmp_path / "file").write_text("")
    done = stoat("scan", tmp_path / name, "--data-dir", tmp_path / "data")
    assert done.returncode == status
    assert done.stderr.startswith("error: ")
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_single_file_that_is_gone_is_settled(tmp_path: Path) -> None:
    """By itself, as over HTTP; what nobody knows is named, and is no success."""
    films = large_folder(tmp_path / "films", 3)
    (films / "below").mkdir()
    os.link(films / "0.mp4", films / "below" / "x.mp4")
    data = ("--data-dir", tmp_path / "data")
    assert stoat("scan", films, *data).returncode == 0
    (films / "0.mp4").unlink()
    (films / "1.mp4").unlink()
    done = stoat("scan", films / "0.mp4", *data)
    assert (done.returncode, "1 missing" in done.stdout) == (0, True), done.stderr
    states = [json.loads(stoat("show", films / f"{n}.mp4", "--json", *data).stdout)["state"] for n in range(3)]
    assert states == ["missing", "available", "available"]
    done = stoat("scan", films / "new.mp4", *data)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert f"{films}/new.mp4 is neither on disk nor in the catalogue" in done.stderr
    shutil.rmtree(films / "below")
    done = stoat("scan", films / "below", *data)
    assert (done.returncode, "1 missing" in done.stdout) == (0, True), done.stderr


def test_a_library_that_is_away_fails_the_job(tmp_path: Path, clips: Path) -> None:
    """The reason is the last line; nothing is forgotten."""
    films = tmp_path / "films"
    os.rename(large_folder(tmp_path / "some", 2), films)
    assert stoat("scan", films, "--data-dir", tmp_path / "data").returncode == 0
    for file in films.iterdir():
        file.unlink()
    done = stoat("scan", films, "--data-dir", tmp_path / "data")
    assert done.returncode == 1
    assert "probably not mounted" in done.stderr.splitlines()[-1]
    assert "--accept-loss" in done.stderr.splitlines()[-1]
    accepted = stoat("scan", films, "--data-dir", tmp_path / "data", "--accept-loss")
    assert "2 missing" in accepted.stdout


def test_ctrl_c_cancels_and_keeps_what_was_done(tmp_path: Path) -> None:
    """Whatever was stored is in the catalogue."""
    films, data = large_folder(tmp_path / "films"), tmp_path / "data"
    scan = start("scan", films, "--data-dir", data)
    assert scan.stderr is not None
    for line in scan.stderr:
        if re.match("examining: [1-9]", line):
            break
    ctrl_c(scan)
    status, out, told, seconds = ended(scan)
    assert status == 130
    assert "\x1b" not in out + told
    assert "Cancelling" in told
    assert told.splitlines()[-1].startswith("Cancelled.")
    assert seconds < PATIENCE
    stored = int(re.findall(r"([\d,]+) new", out)[0].replace(",", ""))
    assert 0 < stored < 4000
    job = json.loads(stoat("jobs", "list", "--json", "--data-dir", data).stdout)["jobs"][0]
    assert (job["status"], job["result"]["new"]) == ("cancelled", stored)
    found = json.loads(stoat("search", "mp4", "--limit", "1", "--json", "--data-dir", data).stdout)
    assert found["total"] == stored


def test_a_scan_is_done_by_a_server_that_runs(tmp_path: Path, clips: Path) -> None:
    """No second worker is started; SIGTERM cancels as Ctrl-C does."""
    server = start("serve", "--port", "0", "--data-dir", tmp_path / "data")
    assert server.stdout is not None
    try:
        assert server.stdout.readline().startswith("listening on http://127.0.0.1:")
        done = stoat("scan", clips, "--data-dir", tmp_path / "data", "--json")
        assert json.loads(done.stdout)["status"] == "complete"
        assert stoat("scan", clips, "--data-dir", tmp_path / "data", "--detach").stderr == ""
        films = large_folder(tmp_path / "films")
        scan = start("scan", films, "--data-dir", tmp_path / "data")
        assert scan.stderr is not None
        assert scan.stderr.readline()
        scan.terminate()
        assert ended(scan)[0] == 130
    finally:
        server.terminate()
        status, _, log, seconds = ended(server)
    assert status == 0
    assert seconds < PATIENCE
    assert log.count("worker started") == 1


def run(runtime: Runtime, work: Coroutine[Any, Any, T]) -> T:
    """Run it and close the runtime."""

    async def in_time() -> T:
        async with asyncio.timeout(SECONDS):
            return await work

    try:
        return asyncio.run(in_time())
    finally:
        runtime.close()


async def until_running(runtime: Runtime, worker: str) -> Job:
    """Pretend to be a worker: take the next job, and do nothing about it."""
    await runtime.queue.heartbeat(worker)
    while (claim := await runtime.queue.claim(worker)) is None:
        await runtime.queue.wait_for_work(1)
    return claim.job


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path, clips: Path) -> None:
    """It is told how to find out what becomes of the job, which a worker that hangs does not end."""
    runtime = open_runtime(make_settings(tmp_path, lease_seconds=60))

    async def leave() -> tuple[Job, tuple[int, str, str, float]]:
        await runtime.queue.heartbeat("a worker that hangs")
        scan = start("scan", clips, "--data-dir", tmp_path)
        job = await until_running(runtime, "a worker that hangs")
        assert scan.stderr is not None
        assert await asyncio.to_thread(scan.stderr.readline) == "starting\n"
        ctrl_c(scan)
        while not job.cancel_requested:
            job = await runtime.queue.wait(job.id, 0.05)
        ctrl_c(scan)
        return job, await asyncio.to_thread(ended, scan)

    job, (status, _, told, seconds) = run(runtime, leave())
    assert status == 130
    assert seconds < PATIENCE
    assert f"stoat jobs show {job.id}" in told.splitlines()[-1]


def test_a_scan_for_which_no_worker_can_be_started(
    tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so instead of waiting for ever."""
    monkeypatch.setattr("stoat_ferret.cli.following.MOST_RESTARTS", 1)
    runtime = open_runtime(make_settings(tmp_path))
    broken = WorkerSupervisor(["false"], on_death=lambda _pid: None)
    monkeypatch.setattr(Runtime, "supervisor", lambda _self: broken)

    async def follow() -> None:
        request = scan_request(ScanOptions(path=os.fsencode(clips)), runtime.repository)
        job = (await runtime.queue.submit(request)).job
        with pytest.raises(ConfigurationError, match="No worker can be started"):
            await Following(runtime, SilentProgress()).to_end(job)
        assert (await runtime.queue.get(job.id)).status is JobStatus.PENDING

    run(runtime, follow())


def in_terminal(*arguments: str | Path) -> tuple[int, str]:
    """Run a command in a terminal of 100 columns; gives its status and all that it wrote."""
    screen, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(COLUMNS="100", TERM="xterm")
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            some = os.read(screen, 65536)
        except OSError:  # Linux's way to say that nobody holds the other side
            break
        if not some:
            break
        written += some
    os.close(screen)
    return process.wait(), written.decode()


def test_in_a_terminal_there_is_a_bar_and_no_name_can_command_it(tmp_path: Path) -> None:
    """Files may be called anything."""
    films = large_folder(tmp_path / "films", 200)
    evil = os.fsencode(films) + b"/[red]\x1b]0;evil\x07\nname\xff.mp4"
    os.link(films / "0.mp4", evil)
    status, written = in_terminal("scan", films, "--data-dir", tmp_path / "data")
    assert status == 0, written
    assert "━" in written
    assert "201 files scanned: 201 new" in written
    status, found = in_terminal("search", "evil", "--data-dir", tmp_path / "data")
    assert status == 0
    for text in (written, found):
        plain = COLOURS.sub("", text)
        assert "\x1b" not in plain
        assert "\x07" not in plain
    assert "[red]\\x1b]0;evil\\x07\\nname\\xff.mp4" in "".join(COLOURS.sub("", found).split())


def test_a_worker_runs_until_it_is_told_to_stop(tmp_path: Path, clips: Path) -> None:
    """It does what waits, with less priority than people's programs, and ends in good order."""
    job_id = stoat("scan", clips, "--data-dir", tmp_path, "--detach").stdout.strip()
    worker = start("worker", "--data-dir", tmp_path)
    try:
        until = time.monotonic() + 180
        job = {"status": "pending"}
        while job["status"] not in ("complete", "failed") and time.monotonic() < until:
            job = json.loads(stoat("jobs", "show", job_id, "--json", "--data-dir", tmp_path).stdout)
        assert job["status"] == "complete"
        process = psutil.Process(worker.pid)
        mine = psutil.Process().nice()
        assert (process.nice(), process.ionice().ioclass) == (min(19, mine + NICENESS), psutil.IOPRIO_CLASS_IDLE)
    finally:
        worker.send_signal(signal.SIGINT)
        status, out, log, _ = ended(worker)
    assert (status, out) == (0, "")
    assert "worker stopped" in log
