"""How a verification ends."""

import pytest

from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.verify import status_after
from stoat_ferret.jobs.model import JobStatus
from tests.unit.cli.examples import job


@pytest.mark.parametrize(
    ("job_status", "damaged", "failed", "status"),
    [
        (JobStatus.COMPLETE, 0, 0, ExitStatus.OK),
        (JobStatus.COMPLETE, 1, 0, ExitStatus.FAILED),
        (JobStatus.COMPLETE, 0, 1, ExitStatus.FAILED),
        (JobStatus.FAILED, 0, 0, ExitStatus.FAILED),
        (JobStatus.CANCELLED, 1, 1, ExitStatus.CANCELLED),
    ],
)
def test_what_could_not_be_verified_is_no_success(
    job_status: JobStatus, damaged: int, failed: int, status: ExitStatus
) -> None:
    """Neither is what is damaged."""
    assert status_after(job(status=job_status, result={"damaged": damaged, "failed": failed})) is status
