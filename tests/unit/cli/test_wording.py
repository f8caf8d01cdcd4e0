"""What is said about jobs and videos."""

import time

import pytest

from stoat_ferret.cli import wording
from stoat_ferret.jobs.model import JobStatus
from stoat_ferret.paths import encode_base64
from tests.unit.cli.examples import DETAIL, job


def test_the_phase_is_named_in_words() -> None:
    """Of a phase that is not known, its own name is shown, clean."""
    assert wording.phase_name(job(status=JobStatus.PENDING), ending=False) == "waiting for its turn"
    assert wording.phase_name(job(), ending=False) == "starting"
    assert wording.phase_name(job(progress_detail=DETAIL), ending=False) == "examining"
    assert wording.phase_name(job(progress_detail={**DETAIL, "phase": "a\nb"}), ending=False) == "a\\nb"
    assert wording.phase_name(job(progress_detail=DETAIL), ending=True) == "cancelling"


def test_progress_tells_what_is_known() -> None:
    """Nothing is made up: no total, no rate, no time to go where there is none."""
    assert wording.progress_facts(job()) == ""
    assert wording.progress_facts(job(progress_detail=DETAIL)) == "4,200 of 10,000 files, 812 a second, 7 s to go"
    unknown = {**DETAIL, "total": None, "rate": None, "eta_seconds": None}
    assert wording.progress_facts(job(progress_detail=unknown)) == "4,200 files"
    assert "2.5 a second" in wording.progress_facts(job(progress_detail={**DETAIL, "rate": 2.5}))


def test_a_scan_is_summed_up() -> None:
    """With the outcomes that occurred."""
    result = {"scanned": 3, "new": 2, "failed": 1, "moved": 0, "bytes_read": 2048, "duration_seconds": 1.26}
    assert wording.scan_counts(result) == "3 files scanned: 2 new, 1 failed"
    assert wording.scan_counts({"scanned": 0}) == "0 files scanned"
    assert wording.scan_cost(result) == "2.0 KiB read in 1.3 s"
    assert wording.scan_cost({"duration_seconds": 120}) == "0 B read in 2 min"


def test_how_a_job_stands() -> None:
    """With the reason, where there is one."""
    assert wording.job_ending(job()) == "running"
    assert wording.job_ending(job(cancel_requested=True)) == "running, told to end"
    assert wording.job_ending(job(status=JobStatus.CANCELLED, cancel_requested=True)) == "cancelled"
    assert wording.job_ending(job(status=JobStatus.FAILED, error="No disk.")) == "failed: No disk."


def test_what_came_of_a_job() -> None:
    """Its error, or what it counted."""
    assert wording.summary(job(error="No disk.", result={"scanned": 1})) == "No disk."
    assert wording.summary(job(result={"scanned": 2, "new": 2})) == "2 files scanned: 2 new"
    result = {"jobs_deleted": 1, "ledger_rows_deleted": 2000, "integrity": "ok"}
    assert (
        wording.summary(job(result=result)) == "1 old job forgotten with 2,000 lines of what they did, databases sound"
    )
    assert wording.summary(job(result={"files": 200})) == wording.summary(job()) == ""


def test_what_a_job_is_about() -> None:
    """Its folder and switches; nothing where it has none."""
    payload = {"path": "/videos", "force": True, "accept_loss": False, "recursive": False}
    assert wording.about(job(payload=payload)) == "/videos --force --no-recursive"
    assert wording.about(job(payload={})) == ""
    payload |= {"path_bytes": encode_base64(b"/videos"), "only": encode_base64(b"a\n\xff.mp4")}
    assert wording.about(job(payload=payload)) == "/videos/a\n\N{REPLACEMENT CHARACTER}.mp4 --force"


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine's clock for people, in UTC for programs."""
    moment = 1_714_618_800_000_000
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        assert wording.local_moment(moment) == "2024-05-02 05:00 CEST"
    time.tzset()
    assert wording.local_moment(None) == ""
    assert wording.utc(moment) == "2024-05-02T03:00:00Z"
    assert wording.utc(None) is None
    assert wording.ago(moment, moment + 180_000_000) == "3 min ago"
    assert wording.share(job(progress=0.999)) == "99 %"
