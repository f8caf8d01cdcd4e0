"""How long a submit takes, seen from outside, idle and while scans run at full speed, on SQLite and on Postgres.

usage: submit_latency.py [--files 20000] [--submits 300] [--pause 0.01] [--engine sqlite|postgres|both] [--url URL]

A tree of FILES small clips is scanned while up to SUBMITS scans of other folders are submitted, each of a folder not
submitted before so that none is joined to another; they are run beside it, so that with a short PAUSE (in seconds)
after each the worker has hundreds of small jobs to do as well. Once the tree is done nothing is measured any more. The
bare GET of /health/live is timed in turn with the submits: it is what HTTP costs on this machine at that moment. So is
a sync of 4 KiB appended to a file beside the databases: an acknowledged submit is on the disk, and cannot be there
sooner than the disk takes. The server's own time, without the client and the network, is what its Server-Timing header
says. Postgres is started from the development environment's wheel unless URL names one (a database that may be filled).
"""

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks._databases import add_arguments, address, chosen
from benchmarks._harness import TERMINAL, Server, percentile, publish, scratch, serve
from tools.trees import make_tree

AT_A_TIME = 20


@dataclass
class Timings:
    """Seconds, submit by submit."""

    submits: list[float] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    """Of these, those within the server."""
    bare: list[float] = field(default_factory=list)
    """Of a bare request before each."""
    syncs: list[float] = field(default_factory=list)
    """Of a file's sync before each."""

    def take(self, server: Server, folder: str, disk: BinaryIO, pause: float) -> None:
        """Time a sync and a bare request, and then the submit of a scan."""
        disk.write(bytes(4096))
        started = time.perf_counter()
        os.fsync(disk.fileno())
        self.syncs.append(time.perf_counter() - started)
        started = time.perf_counter()
        server.client.get("/health/live").raise_for_status()
        between = time.perf_counter()
        answer = server.client.post("/api/v1/videos/scan", json={"path": folder})
        self.submits.append(time.perf_counter() - between)
        assert answer.status_code == 202, answer.text
        self.within.append(float(answer.headers["server-timing"].partition("dur=")[2]) / 1e3)
        self.bare.append(between - started)
        time.sleep(pause)

    def to_json(self) -> dict[str, Any]:
        """Give the percentiles, in milliseconds."""
        return {
            "submits": len(self.submits),
            "submit_ms": figures(self.submits),
            "submit_within_server_ms": figures(self.within),
            "bare_request_ms": figures(self.bare),
            "bare_sync_ms": figures(self.syncs),
        }


def figures(seconds: list[float]) -> dict[str, float]:
    """Give the percentiles in milliseconds."""
    return {name: round(percentile(seconds, part) * 1e3, 2) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}


def make_folders(root: Path, count: int) -> list[str]:
    """Make empty folders to be scanned."""
    folders = [root / str(number) for number in range(count)]
    for folder in folders:
        folder.mkdir(parents=True)
    return [str(folder) for folder in folders]


def measure(server: Server, folder: Path, small: list[str], disk: BinaryIO, pause: float) -> dict[str, Any]:
    """Submit half of the small folders to an idle server, and then the others to a busy one."""
    submits = len(small) // 2
    server.finish(server.scan(folder / "small"))  # one library, of which each submit names another folder
    idle, busy = Timings(), Timings()
    for each in small[:submits]:
        idle.take(server, each, disk, pause)
    # They are run before anything that is submitted later, and hundreds of the smallest jobs are another load.
    server.finish(server.scan(folder / "small", force=True))
    tree = server.scan(folder / "tree")
    while server.job(tree)["status"] == "pending":
        time.sleep(0.05)
    for start in range(submits, 2 * submits, AT_A_TIME):
        if server.job(tree)["status"] in TERMINAL:
            break
        for each in small[start : start + AT_A_TIME]:
            busy.take(server, each, disk, pause)
    return {"idle": idle.to_json(), "during_scan": busy.to_json(), "files_done": files_done(server.job(tree))}


def files_done(job: dict[str, Any]) -> int:
    """Give how many files a scan has done."""
    if job["result"] is not None:
        return int(job["result"]["scanned"])
    return (job["progress_detail"] or {}).get("done") or 0


def sentence(name: str, result: dict[str, Any]) -> str:
    """Say what was measured of one engine."""
    busy = result["during_scan"]
    parts = (
        ("submit_within_server_ms", "in the server"),
        ("submit_ms", "for a client"),
        ("bare_request_ms", "bare GET"),
        ("bare_sync_ms", "bare sync"),
    )
    said = [f"{words} p50 {busy[part]['p50']} ms, p99 {busy[part]['p99']} ms" for part, words in parts]
    return f"{name}, while scans run: {'; '.join(said)}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--submits", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.01)
    add_arguments(parser)
    args = parser.parse_args()
    result: dict[str, Any] = {"files": args.files}
    said = []
    with scratch() as folder:
        make_tree(folder / "tree", args.files)
        small = make_folders(folder / "small", 2 * args.submits)
        for engine in chosen(args):
            with address(engine, args.url) as url:
                environment = {"STOAT_DATABASE_URL": url} if url else {}
                synced = (folder / "synced").open("wb", buffering=0)
                with synced, serve(folder / engine, **environment) as server:
                    result[engine] = measure(server, folder, small, synced, args.pause)
            said.append(sentence(engine, result[engine]))
    publish("submit latency", "; ".join(said), result)


if __name__ == "__main__":
    main()
