"""How soon a killed worker's job is begun again, on SQLite and on Postgres.

usage: takeover.py [--files 6000] [--kills 10] [--engine sqlite|postgres|both] [--url URL]

A scan of FILES small clips runs; then the process that does it is ended by SIGKILL, KILLS times. On SQLite that is once
the worker alone, which the server starts anew, and once the server and its worker, after which a server is started:
counted from the kill, and from the moment when the new server listens. On Postgres a worker runs beside the server's
own, and it is counted from its kill until the other has begun the job again, as it may once the lease, of 10 s, has
ended. Postgres is started from the development environment's wheel unless URL names one.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks._databases import add_arguments, address, chosen
from benchmarks._harness import Server, percentile, publish, scratch, serve
from tools.trees import make_tree

LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 60


def until(condition: Callable[[], bool]) -> float:
    """Wait for something; gives the seconds that it took."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise RuntimeError("what was waited for did not happen")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - began


def begin(server: Server, tree: Path) -> str:
    """Have the tree examined anew; gives the job once it has examined something."""
    job_id = server.scan(tree, force=True)
    until(lambda: bool((server.job(job_id)["progress_detail"] or {}).get("done")))
    return job_id


def end(server: Server, job_id: str) -> None:
    """Cancel a job and wait until it has ended."""
    server.client.post(f"/api/v1/jobs/{job_id}/cancel")
    until(lambda: bool(server.job(job_id)["finished_at"]))


def begun_again(server: Server, job_id: str) -> bool:
    """Tell whether a second attempt of a job runs."""
    job = server.job(job_id)
    return bool(job["attempt"] > 1 and job["status"] == "running")


def of_worker(data: Path, tree: Path, kills: int) -> list[float]:
    """Kill the worker of a server on SQLite."""
    seconds = []
    with serve(data) as server:
        server.finish(server.scan(tree))
        for _ in range(kills):
            job_id = begin(server, tree)
            server.worker().send_signal(signal.SIGKILL)
            seconds.append(until(lambda job_id=job_id: begun_again(server, job_id)))  # type: ignore[misc]
            end(server, job_id)
    return seconds


def of_server(data: Path, tree: Path, kills: int) -> list[float]:
    """Kill a server on SQLite with its worker, and start one again."""
    seconds = []
    for _ in range(kills):
        with serve(data) as server:
            job_id = begin(server, tree)
            family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
            for process in family:
                process.send_signal(signal.SIGKILL)
            psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
        with serve(data) as server:
            seconds.append(until(lambda: begun_again(server, job_id)))  # noqa: B023 - called at once
            end(server, job_id)
    return seconds


@contextmanager
def worker(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a worker that nobody starts anew."""
    command = [sys.executable, "-m", "stoat_ferret", "worker"]
    process = subprocess.Popen(command, env={**os.environ, "STOAT_LOG_LEVEL": "error", **environment})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def at_work(environment: dict[str, str], job_id: str) -> int | None:
    """Give the process that does a job, if one does."""
    command = [sys.executable, "-m", "stoat_ferret", "workers", "--json"]
    said = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True).stdout
    for each in json.loads(said)["workers"]:
        if any(job["job_id"] == job_id for job in each["jobs"]):
            return int(each["pid"])
    return None


def on_postgres(data: Path, tree: Path, kills: int, url: str) -> list[float]:
    """Kill the worker beside the server's own, while it reads the tree, slowly and in one job."""
    environment = {"STOAT_DATABASE_URL": url, "STOAT_DATA_DIR": str(data)}
    seconds: list[float] = []
    with serve(data, **environment) as server:
        server.finish(server.scan(tree))
        while len(seconds) < kills:
            with worker(environment) as other:
                job_id = read_by(server, other.pid, environment)
                other.kill()
                seconds.append(until(lambda: begun_again(server, job_id)))  # noqa: B023 - called at once
                end(server, job_id)
    return seconds


def read_by(server: Server, pid: int, environment: dict[str, str]) -> str:
    """Have the tree read, until it is one process that does it; gives the job."""
    slowly = {"mode": "check", "bytes_per_second": 100_000}
    while True:
        job_id = str(server.client.post("/api/v1/videos/verify", json=slowly).json()["job_id"])
        until(lambda: at_work(environment, job_id) is not None)  # noqa: B023 - called at once
        if at_work(environment, job_id) == pid:
            return job_id
        end(server, job_id)


def figures(seconds: list[float]) -> dict[str, float]:
    """Give the percentiles, in seconds."""
    return {"p50": round(percentile(seconds, 0.5), 2), "max": round(max(seconds), 2), "kills": len(seconds)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=6000)
    parser.add_argument("--kills", type=int, default=10)
    add_arguments(parser)
    args = parser.parse_args()
    result: dict[str, Any] = {}
    with scratch() as folder:
        tree = folder / "tree"
        make_tree(tree, args.files)
        for engine in chosen(args):
            if engine == "sqlite":
                result["sqlite, its worker killed"] = figures(of_worker(folder / "one", tree, args.kills))
                result["sqlite, killed with the server, from its new start"] = figures(
                    of_server(folder / "two", tree, args.kills)
                )
                continue
            with address(engine, args.url) as url:
                assert url is not None
                result["postgres, one of two workers killed"] = figures(
                    on_postgres(folder / engine, tree, args.kills, url)
                )
    said = (f"{name}: p50 {seconds['p50']} s, at most {seconds['max']} s" for name, seconds in result.items())
    publish("takeover", "; ".join(said), result)


if __name__ == "__main__":
    main()
