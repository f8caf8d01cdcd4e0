"""Jobs in words."""

import asyncio
from typing import Any

import pytest

from stoat_ferret.jobs.memory import InMemoryJobQueue
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.web.activity import Activity, describe_active, describe_ended, read_activity
from stoat_ferret.web.render import render

PROGRESS = {
    "phase": "probe",
    "done": 4200,
    "total": 10000,
    "unit": "files",
    "rate": 812.5,
    "eta_seconds": 7.1,
    "current": "a\nb.mp4",
}


def job(status: JobStatus, **fields: Any) -> Job:
    """Give a job's record."""
    record = {"id": "01934f5e", "revision": 1, "type": "scan", "payload": {"path": "/videos"}, "created_at": 0}
    return Job(status=status, **{**record, **fields})


def activity(*jobs: Job) -> Activity:
    """Give what a page shows of some jobs."""
    return Activity(
        active=[describe_active(job) for job in jobs if not job.status.terminal],
        more=0,
        ended=[describe_ended(job) for job in jobs if job.status.terminal],
    )


def test_a_running_job_says_how_far_it_is() -> None:
    """Phase, counts, rate and the time that is left."""
    running = describe_active(job(JobStatus.RUNNING, progress=0.42, progress_detail=PROGRESS))
    assert running.title == "Scan of /videos"
    assert running.phase == "Examining files"
    assert running.figures == "4,200 of 10,000 files · 812/s · 7 s left"
    assert running.current == "a\\nb.mp4"


def test_a_job_that_knows_little_says_little() -> None:
    """No total, no rate, no current file; an unknown phase; nothing at all."""
    early = PROGRESS | {"total": None, "rate": 3.25, "eta_seconds": None, "current": None, "phase": "new"}
    running = describe_active(job(JobStatus.RUNNING, progress_detail=early))
    assert (running.phase, running.figures, running.current) == ("Starting", "4,200 files · 3.2/s", None)
    assert describe_active(job(JobStatus.RUNNING)).figures == ""
    assert describe_active(job(JobStatus.PENDING)).phase == "Waiting for its turn"
    assert describe_active(job(JobStatus.RUNNING, cancel_requested=True)).phase == "Stopping"


@pytest.mark.parametrize(
    ("payload", "title"),
    [
        ({"path": "/v", "dry_run": True}, "Dry run of /v"),
        ({"path": "/v", "force": True}, "Full scan of /v"),
        ({"path": "/v\u202e"}, "Scan of /v⟨U+202E⟩"),
        ({}, "Scan"),
    ],
)
def test_titles_say_what_was_asked_for(payload: dict[str, Any], title: str) -> None:
    """So that two jobs on one folder can be told apart."""
    assert describe_active(job(JobStatus.PENDING, payload=payload)).title == title


def test_an_ended_job_says_what_it_did() -> None:
    """Only what there was any of."""
    result = {
        "scanned": 1, "new": 1200, "unchanged": 0, "failed": 25, "bytes_read": 5_312_331, "duration_seconds": 0.61,
        "errors": [{"path": f"/videos/{n}", "error": "cut off"} for n in range(25)],
    }  # fmt: skip
    ended = describe_ended(job(JobStatus.COMPLETE, result=result, finished_at=1))
    assert ended.summary == "1,200 new, 25 failed; 5.3 MB read in 0.6 s"
    assert len(ended.failures) == 20
    page = bytes(render("jobs.html", activity=activity(job(JobStatus.COMPLETE, result=result))).body).decode()
    assert "25 files could not be used" in page
    assert "The others, as JSON" in page


def test_a_job_that_failed_says_why() -> None:
    """In the line that is always seen, too."""
    failed = job(JobStatus.FAILED, error="The folder <b> is gone.", error_code="LIBRARY_OFFLINE")
    page = bytes(render("jobs.html", activity=activity(failed)).body).decode()
    assert page.count("The folder &lt;b&gt; is gone.") == 2
    assert "Nothing was done." in page
    assert describe_ended(job(JobStatus.COMPLETE, result={"new": 0})).summary == "no videos found; 0 B read in 0 s"


def test_what_is_announced_changes_only_when_a_job_begins_or_ends() -> None:
    """A listener is not told every figure."""
    assert activity().announcement == "No job has run yet."
    running = job(JobStatus.RUNNING, progress_detail=PROGRESS)
    later = job(JobStatus.RUNNING, progress_detail=PROGRESS | {"done": 5000})
    assert activity(running).announcement == activity(later).announcement == "1 job running, 0 waiting."
    ended = job(JobStatus.COMPLETE, result={"new": 2})
    assert activity(ended).announcement == "Scan of /videos: done. 2 new; 0 B read in 0 s"


def test_many_waiting_jobs_are_counted() -> None:
    """Only some are shown, in the order in which they will run."""
    page = bytes(render("jobs.html", activity=Activity(active=[], more=3, ended=[])).body).decode()
    assert "and 3 jobs more waiting" in page


def test_activity_is_read_in_the_order_in_which_things_happen() -> None:
    """What runs, then what waits, oldest first; what has ended, the last one first."""

    async def read() -> tuple[list[str], Activity]:
        queue = InMemoryJobQueue(run_on_submit=False)
        requests = [JobRequest(type="scan", payload={"path": f"/{number}"}) for number in range(10)]
        ids = [(await queue.submit(request)).job.id for request in requests]
        for _ in range(2):
            claim = await queue.claim("worker")
            assert claim is not None
            await queue.finish(claim, JobOutcome(status=JobStatus.COMPLETE, result={}))
        await queue.claim("worker")
        return ids, await read_activity(queue)

    ids, seen = asyncio.run(read())
    assert [(job.id, job.running) for job in seen.active] == list(zip(ids[2:8], [True] + [False] * 5, strict=True))
    assert seen.more == 2
    assert seen.announcement == "1 job running, 7 waiting."
    assert [job.id for job in seen.ended] == [ids[1], ids[0]]
    assert seen.revision == f"{ids[1]} {ids[0]}"
