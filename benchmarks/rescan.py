"""An unchanged rescan against `find -printf '%s %T@ %p\\n'` over the same tree, in turn.

usage: rescan.py [--files 20000] [--runs 5]

The ratio of medians is the figure; warm cache. The rescan is the job's own duration, its start-up included.
"""

import argparse
import statistics
import subprocess
import time

from benchmarks._harness import publish, scratch, serve
from tools.trees import make_tree


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    ours, finds = [], []
    with scratch() as folder, serve(folder / "data") as server:
        make_tree(folder / "tree", args.files, a_folder=500)
        time.sleep(3.1)  # files younger than that are compared one by one
        server.finish(server.scan(folder / "tree"))
        bytes_read = 0
        for _ in range(args.runs):
            started = time.perf_counter()
            subprocess.run(
                ["find", str(folder / "tree"), "-printf", r"%s %T@ %p\n"], check=True, stdout=subprocess.DEVNULL
            )
            finds.append(time.perf_counter() - started)
            result = server.finish(server.scan(folder / "tree"))["result"]
            assert result["unchanged"] == args.files, result
            ours.append(result["duration_seconds"])
            bytes_read += result["bytes_read"]
    ratio = statistics.median(ours) / statistics.median(finds)
    figures = {
        "files": args.files,
        "rescan_seconds": round(statistics.median(ours), 3),
        "find_seconds": round(statistics.median(finds), 3),
        "ratio": round(ratio, 2),
        "bytes_read": bytes_read,
    }
    publish("unchanged rescan", f"{ratio:.2f} times find, {bytes_read} bytes of content read", figures)


if __name__ == "__main__":
    main()
