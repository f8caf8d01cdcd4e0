"""`stoat jobs watch`, `retry`, `delete` and `files`, `workers`, `libraries`, `schedules` and `maintenance`."""

import asyncio
import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.cli import main as cli
from stoat_ferret.jobs.model import Claim, Job, JobOutcome, JobRequest, JobStatus, Progress, WorkerProfile
from stoat_ferret.library.retention import jobs_with_remains
from stoat_ferret.runtime import Runtime, open_runtime
from tests.factories import make_settings
from tests.integration.cli_program import command, ctrl_c, ended, environment, start, stoat
from tests.media_files import place_clip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video, and a file that is none."""
    folder = tmp_path_factory.mktemp("films")
    place_clip(folder / "beach.mp4")
    (folder / "broken.mp4").write_text("not a video")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty library's data."""
    with _runtime(tmp_path / "data"):
        return tmp_path / "data"


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on that library in this process; gives status, output and what was told."""
    monkeypatch.setattr("stoat_ferret.log.configure_logging", lambda _settings: None)
    for name in [name for name in os.environ if name.startswith("STOAT_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([*map(str, arguments), "--data-dir", str(data)])
        out, told = capsys.readouterr()
        return status, out, told

    return call


@contextmanager
def _runtime(data: Path) -> Iterator[Runtime]:
    with closing(open_runtime(make_settings(data))) as runtime:
        yield runtime


def do(data: Path, work: Callable[[Runtime], Any]) -> Any:
    """Do something with the queue, as another process would."""
    with _runtime(data) as runtime:
        return asyncio.run(work(runtime))


def add_job(data: Path, outcome: JobOutcome | None = None, **fields: Any) -> Job:
    """Put a job on the queue, and end it where an outcome is given."""

    async def work(runtime: Runtime) -> Job:
        request = JobRequest(type="scan", payload={"path": "/videos"}, **fields)
        job = (await runtime.queue.submit(request)).job
        if outcome is None:
            return job
        claim = await runtime.queue.claim("worker")
        assert claim is not None
        return await runtime.queue.finish(claim, outcome)

    job: Job = do(data, work)
    return job


COMPLETE = JobOutcome(status=JobStatus.COMPLETE, result={"scanned": 3, "new": 3})
FAILED = JobOutcome(status=JobStatus.FAILED, error="No disk.", error_code="LIBRARY_OFFLINE")


def rows(out: str) -> list[list[str]]:
    """Read a table."""
    return [line.split("\t") for line in out.splitlines()]


def test_a_job_is_done_again(run: Run, data: Path) -> None:
    """The new job's id is printed; an equal one that waits is told; a completed one is refused."""
    failed = add_job(data, FAILED)
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
    with _runtime(data) as runtime:
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


def test_workers_are_listed_with_what_they_do(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of scans too; who is not heard of any more is left out."""
    assert run("workers") == (0, "", "Nobody runs jobs now. `stoat serve` and `stoat worker` do.\n")
    assert json.loads(run("workers", "--json")[1]) == {"workers": []}
    whole = add_job(data)

    async def work(runtime: Runtime) -> str:
        await runtime.queue.heartbeat("one", WorkerProfile(version="1.2", slots=3, places=("/videos", "/more")))
        await runtime.queue.heartbeat("two")
        claim: Claim | None = None
        for worker in ("one", "two"):
            claim = await runtime.queue.claim(worker)
            assert claim is not None
            await runtime.queue.report(claim, 0.5, Progress(phase="probe", done=1))
            await runtime.queue.submit(JobRequest(type="scan", payload={}, parent_id=whole.id, key=worker))
        assert claim is not None
        return claim.job.id

    part = do(data, work)
    one, two = rows(run("workers")[1])
    assert (one[0], *one[3:4], *one[5:]) == ("one", "1.2", "3", "/videos:/more", whole.id)
    assert (two[0], *two[5:]) == ("two", "", "everything", part)
    first, second = json.loads(run("workers", "--json")[1])["workers"]
    assert (first["pid"], first["roots"], second["roots"]) == (os.getpid(), ["/videos", "/more"], None)
    assert first["jobs"][0]["progress"] == 0.5
    assert first["started_at"].endswith("Z")
    monkeypatch.setattr("stoat_ferret.cli.output.in_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    drawn = run("workers")[1]
    for text in ("Machine", "Alive for", "scan /videos 50 %", f"scan part of {whole.id} 50 %"):
        assert text in drawn


def add_library(data: Path, folder: str) -> str:
    """Make a library; gives its id."""
    with _runtime(data) as runtime, runtime.catalogue.write() as connection:
        return runtime.repository.add_library(connection, os.fsencode(folder), 0.5).id


def test_libraries_are_listed(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without a word for it."""
    assert run("libraries")[2] == "There is no library yet. `stoat scan FOLDER` makes one.\n"
    library = add_library(data, "/videos/a")
    assert rows(run("libraries")[1]) == [[library, "a", "/videos/a", "0", "online", "", ""]]
    assert run("libraries", "list") == run("libraries")
    assert json.loads(run("libraries", "--json")[1])["libraries"][0]["id"] == library
    monkeypatch.setattr("stoat_ferret.cli.output.in_terminal", lambda: True)
    assert "Schedule" in run("libraries")[1]


def test_a_librarys_settings_are_set(run: Run, data: Path) -> None:
    """By id or folder; what is not given stays, and a new schedule is known at once."""
    library = add_library(data, "/videos/a")
    status, out, _ = run("libraries", "set", "/videos/a", "--schedule", "0 3 * * *", "--name", " Films ")
    assert status == 0
    assert "Schedule  0 3 * * *\n" in out
    [schedule] = [each for each in do(data, lambda runtime: runtime.queue.schedules()) if each.name != "maintenance"]
    assert (schedule.name, schedule.cron) == (f"library:{library}", "0 3 * * *")
    shown = json.loads(run("libraries", "set", library, "--max-loss-fraction", "0.1", "--json")[1])
    assert (shown["name"], shown["schedule"], shown["max_loss_fraction"]) == ("Films", "0 3 * * *", 0.1)
    assert json.loads(run("libraries", "set", library, "--no-schedule", "--json")[1])["schedule"] is None
    assert [each.name for each in do(data, lambda runtime: runtime.queue.schedules())] == ["maintenance"]


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        ([], 2, "Nothing to set."),
        (["--schedule", "0 25 * * *"], 2, "the hour '25' is none"),
        (["--schedule", "0 3 * * *", "--no-schedule"], 2, "either --schedule or --no-schedule"),
        (["--name", " "], 2, "A name is a line of 1 to 200 characters."),
        (["--name", "a\nb"], 2, "A name is a line"),
        (["--max-loss-fraction", "1.5"], 2, "--max-loss-fraction"),
    ],
)
def test_what_cannot_be_set_is_refused(run: Run, data: Path, arguments: list[str], status: int, part: str) -> None:
    """In one line, and nothing is changed."""
    add_library(data, "/videos/a")
    before = run("libraries")
    got, out, told = run("libraries", "set", "/videos/a", *arguments)
    assert (got, out) == (status, "")
    assert part in told
    assert run("libraries") == before


@pytest.mark.parametrize("which", ["/videos", "01934f5e-9d0a-7aa1-9e7e-0a86a1b5a7c3"])
def test_a_library_that_is_not_there(run: Run, data: Path, which: str) -> None:
    """Neither by folder nor by id."""
    add_library(data, "/videos/a")
    assert run("libraries", "set", which, "--no-schedule")[0] == 4


def test_schedules_are_listed(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When next, when last, and what came of it; a line that cannot be used is told with what is wrong."""
    good, bad = add_library(data, "/videos/good"), add_library(data, "/videos/bad")
    run("libraries", "set", good, "--schedule", "* * * * *")
    with _runtime(data) as runtime:
        runtime.repository.update_library(bad, schedule="0 25 * * *")

    async def make_due(runtime: Runtime) -> Any:
        name = f"library:{good}"
        await runtime.queue.unschedule(frozenset({name}))
        await runtime.queue.fire(name, "* * * * *", lambda _after: 1, JobRequest(type="scan", payload={}))
        return await runtime.queue.fire(
            name, "* * * * *", lambda after: after + 5_400_000_000, JobRequest(type="scan", payload={})
        )

    job = do(data, make_due)
    status, out, told = run("schedules")
    assert status == 0
    maintenance, wrong, right = rows(out)
    assert maintenance[:2] == ["maintenance", "30 3 * * *"]
    assert wrong == [f"library:{bad}", "0 25 * * *", "", "", "", "/videos/bad"]
    assert (right[0], *right[4:]) == (f"library:{good}", job.id, "/videos/good")
    assert "bad: The schedule '0 25 * * *' cannot be used: the hour '25'" in told
    assert "Nobody runs jobs now" in told
    [_, second, third] = json.loads(run("schedules", "--json")[1])["schedules"]
    assert (second["next_at"], third["last_job_id"], third["path"]) == (None, job.id, "/videos/good")
    assert third["next_at"].endswith("Z")
    monkeypatch.setattr("stoat_ferret.cli.output.in_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    drawn = run("schedules")[1]
    for part in ("never: see below", "ago, pending", "in 1 h 30 min"):
        assert part in drawn


def test_without_a_schedule_it_is_told_how_to_make_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the maintenance may be left out."""
    monkeypatch.setenv("STOAT_MAINTENANCE_SCHEDULE", "")
    assert run("schedules")[:2] == (0, "")
    assert "--schedule" in run("schedules")[2]
    monkeypatch.setenv("STOAT_MAINTENANCE_SCHEDULE", "daily")
    status, _, told = run("schedules")
    assert status == 3
    assert told.startswith("error: STOAT_MAINTENANCE_SCHEDULE: The schedule 'daily' cannot be used")


def test_the_maintenance_is_done_now(run: Run, data: Path) -> None:
    """As a job that is followed to its end, by a worker of its own where no other is there."""
    status, out, _ = run("maintenance")
    assert status == 0
    assert out.startswith("0 old jobs forgotten, databases sound; took ")
    document = json.loads(run("maintenance", "--json")[1])
    assert (document["type"], document["result"]["integrity"]) == ("maintenance", "ok")
    job_id = run("maintenance", "--detach")[1].strip()
    assert do(data, lambda runtime: runtime.queue.get(job_id)).status is JobStatus.PENDING
    assert run("jobs", "cancel", job_id)[0] == 0


def test_a_catalogue_that_does_not_agree_with_itself_fails_the_maintenance(data: Path) -> None:
    """The exit status says so, and a sentence what to do."""
    from sqlalchemy import update

    from stoat_ferret.db.tables import libraries

    add_library(data, "/videos/a")
    with _runtime(data) as runtime, runtime.catalogue.write() as connection:
        connection.execute(update(libraries).values(video_count=7))
    done = stoat("maintenance", "--data-dir", data)
    assert done.returncode == 1
    assert "error: The counter of videos is wrong" in done.stderr
