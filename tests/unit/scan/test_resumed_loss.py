"""A scan that is cut off, and what goes away before it is taken up again."""

import asyncio
import os
from pathlib import Path

import pytest

from stoat_ferret.api.services.scan import scan_request
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.scan import store
from stoat_ferret.scan.scope import ScanOptions
from tests.factories import Stage, nonzero, put

STORED = 25
"""More than may go at once from a library that had them before."""


async def scan_cut_off(stage: Stage, root: Path, lost: list[bytes]) -> Job:
    """Scan until most is stored, lose that, and let another worker take the scan up."""
    stage.queue = stage._queue()
    await stage.queue.submit(scan_request(ScanOptions(path=os.fsencode(root)), stage.repository))
    claim = await stage.queue.claim("first")
    assert claim is not None
    assert await stage._run_mortal(claim, STORED + 3)
    for path in lost:
        os.unlink(path)
    stage.now += 3_600_000_000  # the lease ends
    await stage.queue.run_pending()
    return await stage.queue.get(claim.job.id)


def test_what_a_first_scan_found_itself_may_all_go(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no mass loss: the library had none of it before the scan."""
    root = tmp_path / "videos"
    root.mkdir()
    monkeypatch.setattr(store, "BATCH_FILES", 1)
    paths = [put(root / f"{number:02}.mp4", f"video {number}") for number in range(30)]
    job = asyncio.run(scan_cut_off(stage, root, paths[: STORED - 3]))
    assert job.status is JobStatus.COMPLETE, job.error
    assert job.attempt == 2
    assert job.result is not None
    assert nonzero(job.result)["missing"] == STORED - 3
    assert sum(state == "available" for state in stage.states().values()) == 30 - (STORED - 3)
    stage.check(job)
