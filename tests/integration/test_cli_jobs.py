"""`stoat jobs watch`, `retry`, `delete` and `files`."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from stoat_ferret.api.services.scan import scan_request
from stoat_ferret.jobs.model import Claim, JobOutcome, JobStatus, Progress
from stoat_ferret.library.retention import jobs_with_remains
from stoat_ferret.runtime import Runtime
from stoat_ferret.scan.scope import ScanOptions
from tests.integration.cli_data import COMPLETE, FAILED, Run, add_job, do, empty_data, open_data, rows, run_here  # noqa: F401
from tests.integration.cli_program import command, ctrl_c, ended, environment, start
from tests.media_files import place_clip


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, and a file that is none."""
    folder = tmp_path_factory.mktemp("films")
    place_clip(folder / "beach.mp4")
    (folder / "broken.mp4").write_text("not a video")
    os.utime(folder / "broken.mp4", (0, 0))  # or it might be a copy that goes on
    return folder


def test_a_job_is_done_again(run: Run, data: Path, films: Path) -> None:
    """The new job's id is printed; an equal one that waits is told; a completed one is refused."""
    with open_data(data) as runtime:
        request = scan_request(ScanOptions(path=os.fsencode(films)), runtime.repository)
    failed = add_job(data, FAILED, payload=request.payload)
    status, out, told = run("jobs", "retry", failed.id)
    assert status == 0
    assert "nobody runs jobs now" in told
    new = out.strip()
    document = json.loads(run("jobs", "show", new, "--json")[1])
    assert (document["retry_of"], document["status"]) == (failed.id, "pending")
    assert run("jobs", "retry", failed.id)[1:] == (
        f"{new}\n",
        "An equal job waits already; this is its id.\n"
        "The job waits: nobody runs jobs now. `stoat serve` and `stoat worker` do.\n",
    )
    assert json.loads(run("jobs", "retry", failed.id, "--json")[1])["job_id"] == new
    assert run("jobs", "retry", new)[0] == 5


def test_a_job_is_deleted_with_what_it_left(run: Run, data: Path, films: Path) -> None:
    """A ledger, say; one that has not ended is refused, one that is gone not found."""
    assert run("scan", films)[0] == 0
    [[job_id, *_]] = rows(run("jobs", "list")[1])
    assert len(rows(run("jobs", "files", job_id)[1])) == 2
    assert run("jobs", "delete", job_id) == (0, f"{job_id}\n", "")
    assert run("jobs", "delete", job_id)[0] == 4
    with open_data(data) as runtime:
        assert jobs_with_remains(runtime.catalogue, "", 10) == ()
    assert len(rows(run("search", "beach")[1])) == 1
    waiting = add_job(data)
    assert run("jobs", "delete", waiting.id)[0] == 5
    run("jobs", "cancel", waiting.id)
    assert json.loads(run("jobs", "delete", waiting.id, "--json")[1])["status"] == "cancelled"


def test_what_a_scan_did_to_each_file(run: Run, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All, or those of one outcome; a line each, also as JSON."""
    run("scan", films)
    [[job_id, *_]] = rows(run("jobs", "list")[1])
    [new, failed] = rows(run("jobs", "files", job_id)[1])
    assert new == [str(films / "beach.mp4"), "new", "1", ""]
    assert failed[:3] == [str(films / "broken.mp4"), "failed", "1"]
    assert [json.loads(line)["outcome"] for line in run("jobs", "files", job_id, "--json")[1].splitlines()] == [
        "new",
        "failed",
    ]
    assert rows(run("jobs", "files", job_id, "--outcome", "failed")[1]) == [failed]
    assert run("jobs", "files", job_id, "--outcome", "moved", "--json") == (0, "", "")
    monkeypatch.setattr("stoat_ferret.cli.output.in_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert "has done nothing to such files" in run("jobs", "files", job_id, "--outcome", "moved")[2]
    assert "Outcome" in run("jobs", "files", job_id)[1]


def test_parts_are_listed_by_the_job_they_belong_to(run: Run, data: Path) -> None:
    """And nowhere else."""
    whole = add_job(data)
    part = add_job(data, parent_id=whole.id, key="part")
    assert [row[0] for row in rows(run("jobs", "list")[1])] == [whole.id]
    assert [row[0] for row in rows(run("jobs", "list", "--parent", whole.id)[1])] == [part.id]
    assert run("jobs", "list", "--parent", "01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3")[0] == 4


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (FAILED, 1, "failed: No disk.\n"),
        (COMPLETE, 0, "complete: 3 files scanned: 3 new\n"),
        (JobOutcome(status=JobStatus.CANCELLED), 130, "cancelled\n"),
    ],
)
def test_watching_a_job_that_has_ended_says_how(
    run: Run, data: Path, outcome: JobOutcome, status: int, said: str
) -> None:
    """By the exit status too; as JSON it is one line."""
    job = add_job(data, outcome)
    assert run("jobs", "watch", job.id) == (status, said, "")
    status_of_json, out, _ = run("jobs", "watch", job.id, "--json")
    assert status_of_json == status
    [line] = out.splitlines()
    assert json.loads(line)["job_id"] == job.id


def test_watching_a_job_ends_with_it(data: Path) -> None:
    """Each change is told as it comes."""
    job = add_job(data)
    watcher = start("jobs", "watch", job.id, "--json", "--data-dir", data)
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline())["status"] == "pending"

    async def begin(runtime: Runtime) -> Claim:
        claim = await runtime.queue.claim("worker")
        assert claim is not None
        await runtime.queue.report(claim, 0.5, Progress(phase="probe", done=5, total=10))
        return claim

    claim = do(data, begin)
    document = json.loads(watcher.stdout.readline())
    while document["progress"] != 0.5:
        document = json.loads(watcher.stdout.readline())
    do(data, lambda runtime: runtime.queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={})))
    status, out, told, _ = ended(watcher)
    assert (status, told) == (0, "")
    assert json.loads(out.splitlines()[-1])["status"] == "complete"


def test_whoever_stops_watching_a_job_lets_it_go_on(data: Path) -> None:
    """Ctrl-C is told from its end by the exit status."""
    job = add_job(data)
    watcher = start("jobs", "watch", job.id, "--json", "--data-dir", data)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    ctrl_c(watcher)
    status, _, told, _ = ended(watcher)
    assert (status, told) == (130, "Left; the job goes on.\n")
    assert do(data, lambda runtime: runtime.queue.get(job.id)).status is JobStatus.PENDING


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_jobs_are_watched_until_ctrl_c(data: Path, number: signal.Signals) -> None:
    """What has not ended is told first, then every change; the end is a good one."""
    add_job(data, FAILED)
    job = add_job(data)
    watcher = start("jobs", "watch", "--json", "--data-dir", data)
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline())["job_id"] == job.id
    do(data, lambda runtime: runtime.queue.cancel(job.id))
    assert json.loads(watcher.stdout.readline())["status"] == "cancelled"
    watcher.send_signal(number)
    assert ended(watcher)[:3] == (0, "", "")


def test_other_programs_get_a_line_a_status(data: Path) -> None:
    """Not one for each step of progress."""
    job = add_job(data)
    watcher = start("jobs", "watch", "--data-dir", data)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == f"{job.id}\tscan\tpending\t/videos\n"

    async def work(runtime: Runtime) -> None:
        claim = await runtime.queue.claim("worker")
        assert claim is not None
        for done in range(1, 5):
            await runtime.queue.report(claim, done / 5, Progress(phase="probe", done=done, total=5))
        await runtime.queue.finish(claim, FAILED)

    do(data, work)
    while (line := watcher.stdout.readline()).split("\t")[2] != "failed":
        assert line.split("\t")[2] == "running"
    ctrl_c(watcher)
    assert ended(watcher)[:3] == (0, "", "")


def in_terminal(data: Path, *arguments: str, until: str) -> tuple[int, str]:
    """Run a command in a terminal until it has drawn something, then press Ctrl-C; gives status and output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments, "--data-dir", data),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(COLUMNS="100", LINES="30", TERM="xterm"),
        process_group=0,
    )
    os.close(theirs)
    drawn = b""
    pressed = False
    while True:
        try:
            drawn += os.read(ours, 65536)
        except OSError:
            break
        if not pressed and until.encode() in drawn:
            pressed = True
            os.killpg(process.pid, signal.SIGINT)
    os.close(ours)
    return process.wait(), drawn.decode(errors="replace")


def test_in_a_terminal_jobs_are_drawn(data: Path) -> None:
    """Until Ctrl-C, which is the way to end it."""
    add_job(data, FAILED)
    add_job(data)
    status, drawn = in_terminal(data, "jobs", "watch", until="No disk.")
    assert status == 0
    for part in ("0 running, 1 waiting", "nobody runs jobs", "Waiting", "scan", "/videos", "Ended", "✗ failed"):
        assert part in drawn
