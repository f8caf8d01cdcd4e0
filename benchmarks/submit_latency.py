"""How long a submit takes, seen from outside, idle and while a scan runs at full speed.

usage: submit_latency.py [--files 4000] [--submits 300]

A scan of FILES small clips runs (and is started again, with force, whenever it ends) while scans of other folders are
submitted one after another, each of a folder not submitted before so that none is joined to another. The bare GET of
/health/live is timed in turn with them: it is what HTTP costs on this machine at that moment. The server's own time,
without the client and the network, is what its Server-Timing header says.
"""

import argparse
import time

from benchmarks._harness import Server, percentile, publish, scratch, serve
from tools.trees import make_tree

Timings = tuple[list[float], list[float], list[float]]


def timed_submits(server: Server, folders: list[str]) -> Timings:
    """Submit a scan of each folder; gives the seconds of each, those within the server, and those of a bare request."""
    submits: list[float] = []
    within: list[float] = []
    bare: list[float] = []
    for folder in folders:
        started = time.perf_counter()
        server.client.get("/health/live").raise_for_status()
        between = time.perf_counter()
        answer = server.client.post("/api/v1/videos/scan", json={"path": folder})
        submits.append(time.perf_counter() - between)
        within.append(float(answer.headers["server-timing"].partition("dur=")[2]) / 1e3)
        bare.append(between - started)
        assert answer.status_code == 202, answer.text
        time.sleep(0.01)
    return submits, within, bare


def figures(seconds: list[float]) -> dict[str, float]:
    """Give the percentiles in milliseconds."""
    return {name: round(percentile(seconds, part) * 1e3, 2) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--submits", type=int, default=300)
    args = parser.parse_args()
    with scratch() as folder, serve(folder / "data") as server:
        make_tree(folder / "tree", args.files)
        small = []
        for number in range(2 * args.submits):
            path = folder / "small" / str(number)
            path.mkdir(parents=True)
            small.append(str(path))
        server.finish(server.scan(folder / "small"))  # one library, of which each submit names another folder
        idle, idle_within, _ = timed_submits(server, small[: args.submits])
        job_id = server.scan(folder / "tree")
        while server.job(job_id)["status"] == "pending":
            time.sleep(0.05)
        busy: list[float] = []
        busy_within: list[float] = []
        bare: list[float] = []
        examined_before = 0
        for start in range(args.submits, 2 * args.submits, 20):
            record = server.job(job_id)
            if record["status"] == "complete":
                job_id = server.scan(folder / "tree", force=True)
            submits, within, requests = timed_submits(server, small[start : start + 20])
            busy += submits
            busy_within += within
            bare += requests
            examined_before = max(examined_before, (record["progress_detail"] or {}).get("done") or 0)
    result = {
        "submits": args.submits,
        "idle_ms": figures(idle),
        "idle_within_server_ms": figures(idle_within),
        "during_scan_ms": figures(busy),
        "during_scan_within_server_ms": figures(busy_within),
        "bare_request_during_scan_ms": figures(bare),
        "files_examined_meanwhile": examined_before,
    }
    here, there = figures(busy), figures(busy_within)
    sentence = f"p50 {there['p50']} ms, p99 {there['p99']} ms in the server while a scan runs; seen by a client "
    publish("submit latency", sentence + f"p50 {here['p50']} ms, p99 {here['p99']} ms", result)


if __name__ == "__main__":
    main()
