"""What is said when a scan has ended."""

from typing import Any

import pytest

from stoat_ferret.cli import scan
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.jobs.model import JobStatus
from tests.unit.cli.examples import job


def result(failed: int) -> dict[str, Any]:
    """Give the result of a scan of 200 files, of which the first 100 failures are kept."""
    errors = [{"path": f"/videos/{number}.mp4", "error": "cut off"} for number in range(min(failed, 100))]
    return {"scanned": 200, "new": 200 - failed, "failed": failed, "errors": errors}


def test_many_failures_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The first are shown, and how to see all."""
    scan.print_ending(job(status=JobStatus.COMPLETE, result=result(150)), dry_run=False)
    out, told = capsys.readouterr()
    assert out.splitlines()[0] == "/videos/0.mp4\tcut off"
    assert len(out.splitlines()) == 22
    assert told == "… and 130 more failures: stoat jobs show 1 --failed\n"


def test_a_dry_run_says_what_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    """And not that it was."""
    scan.print_ending(job(status=JobStatus.COMPLETE, result=result(0)), dry_run=True)
    assert capsys.readouterr().out.startswith("Would be done: 200 files scanned: 200 new\n")


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"status": JobStatus.CANCELLED}, ExitStatus.CANCELLED, "Cancelled. What had"),
        ({"status": JobStatus.FAILED, "error": "No disk."}, ExitStatus.FAILED, "error: No disk.\n"),
        ({"status": JobStatus.TIMEOUT}, ExitStatus.FAILED, "error: timeout\n"),
        ({"status": JobStatus.FAILED, "error": "Scan with accept_loss."}, ExitStatus.FAILED, "error: Scan with acce"),
    ],
)
def test_a_scan_that_did_not_complete_says_why(
    capsys: pytest.CaptureFixture[str], fields: dict[str, Any], status: ExitStatus, sentence: str
) -> None:
    """Also when it did nothing."""
    scan.print_ending(job(**fields), dry_run=False)
    assert capsys.readouterr().err.startswith(sentence)
    assert scan.status_after(job(**fields), strict=False) == status


def test_strictness() -> None:
    """A failed file counts only then."""
    complete = job(status=JobStatus.COMPLETE, result=result(1))
    assert scan.status_after(complete, strict=False) == ExitStatus.OK
    assert scan.status_after(complete, strict=True) == ExitStatus.FAILED
    assert scan.status_after(job(status=JobStatus.COMPLETE, result=result(0)), strict=True) == ExitStatus.OK
