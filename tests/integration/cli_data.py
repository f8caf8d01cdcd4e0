"""A library's data, commands that run on it in the test's own process, and jobs put there as others would."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.cli import main as cli
from stoat_ferret.jobs.model import Job, JobOutcome, JobRequest, JobStatus
from stoat_ferret.runtime import Runtime, open_runtime
from tests.factories import make_settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="data")
def empty_data(tmp_path: Path) -> Path:
    """An empty library's data."""
    with open_data(tmp_path / "data"):
        return tmp_path / "data"


@pytest.fixture(name="run")
def run_here(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on that library in this process; gives status, output and what was told."""
    for name in [name for name in os.environ if name.startswith("STOAT_")]:
        monkeypatch.delenv(name)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([*map(str, arguments), "--data-dir", str(data)])
        out, told = capsys.readouterr()
        return status, out, told

    return call


@contextmanager
def open_data(data: Path) -> Iterator[Runtime]:
    with closing(open_runtime(make_settings(data))) as runtime:
        yield runtime


def do(data: Path, work: Callable[[Runtime], Any]) -> Any:
    """Do something with the queue, as another process would."""
    with open_data(data) as runtime:
        return asyncio.run(work(runtime))


def add_job(data: Path, outcome: JobOutcome | None = None, **fields: Any) -> Job:
    """Put a job on the queue, and end it where an outcome is given."""

    async def work(runtime: Runtime) -> Job:
        request = JobRequest(**{"type": "scan", "payload": {"path": "/videos"}, **fields})
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
