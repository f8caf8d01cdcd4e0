"""`stoat workers`, `libraries`, `schedules` and `maintenance`."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from stoat_ferret.db.tables import libraries
from stoat_ferret.jobs.model import Claim, JobRequest, JobStatus, Progress, WorkerProfile
from stoat_ferret.runtime import Runtime
from tests.integration.cli_data import Run, add_job, do, empty_data, open_data, rows, run_here  # noqa: F401
from tests.integration.cli_program import stoat


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
    with open_data(data) as runtime, runtime.catalogue.write() as connection:
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
    with open_data(data) as runtime:
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
    add_library(data, "/videos/a")
    with open_data(data) as runtime, runtime.catalogue.write() as connection:
        connection.execute(update(libraries).values(video_count=7))
    done = stoat("maintenance", "--data-dir", data)
    assert done.returncode == 1
    assert "error: The counter of videos is wrong" in done.stderr
