"""Peak memory of the worker that scans, for a small and a ten times larger tree.

usage: scan_memory.py [--small 1000] [--large 10000]

Each tree is scanned by a server of its own. The worker process and the processes that examine files are sampled every
50 ms: their largest resident set (the worker's alone, and all together as proportional set size, which counts shared
pages once).
"""

import argparse
import time
from pathlib import Path

import psutil

from benchmarks._harness import TERMINAL, publish, scratch, serve
from tools.trees import make_tree


def peak(folder: Path, count: int) -> dict[str, float]:
    """Scan a tree of `count` files; gives files a second and peaks in MiB."""
    make_tree(folder / "tree", count)
    with serve(folder / "data") as server:
        worker = server.worker()
        job_id = server.scan(folder / "tree")
        alone = together = 0
        while (record := server.job(job_id))["status"] not in TERMINAL:
            alone = max(alone, worker.memory_info().rss)
            total = 0
            for process in [worker, *worker.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            together = max(together, total)
            time.sleep(0.05)
        assert record["result"]["new"] == count, record
        seconds = record["result"]["duration_seconds"]
    return {
        "files": count,
        "files_a_second": round(count / seconds, 1),
        "worker_mib": round(alone / 2**20, 1),
        "with_examining_processes_mib": round(together / 2**20, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=10000)
    args = parser.parse_args()
    with scratch() as folder:
        small, large = peak(folder / "small", args.small), peak(folder / "large", args.large)
    ratio = round(large["worker_mib"] / small["worker_mib"], 3)
    sentence = f"{large['worker_mib']} MiB at {args.large} files, {ratio} times that at {args.small}"
    publish("scan memory", sentence, {"small": small, "large": large, "ratio": ratio})


if __name__ == "__main__":
    main()
