"""A million files: first listing, unchanged rescan, a rescan with a hundred changes, memory, and the API meanwhile.

usage: million.py [--files 1000000] [--small 10000] [--folder-size 500] [--runs 3]

The first scan is done with the examination of content pretended, since that is measured elsewhere: it shows walk,
compare and store. Then a server with its worker scans the same tree again, in turn with
`find -printf '%s %T@ %p\\n'` over it, and answers requests meanwhile. `--folder-size 1000000` puts all files into one
folder. Warm cache.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, cast

import psutil
import xxhash

from benchmarks._harness import Server, percentile, publish, scratch, serve
from stoat_ferret.api.services.scan import make_scan_handler, scan_request
from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.db.migrate import upgrade
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.pool import FileStat, ProbeOutcome, ProbePool, ProbeTask
from stoat_ferret.scan.disk import DiskShelf
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.settings import Settings
from tools.trees import unique_clip

LONG_AGO_NS = 1_700_000_000_000_000_000
CHANGES = 100
INFO = MediaInfo(
    container="mov,mp4", duration=1.0, width=160, height=90, rotation=0, display_width=160, display_height=90,
    video_codec="h264",
)  # fmt: skip


class PretendedPool:
    """Answers for every file at once, with the same media information."""

    def __init__(self) -> None:
        self._tasks: deque[ProbeTask] = deque()

    def __enter__(self) -> "PretendedPool":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    @property
    def outstanding(self) -> int:
        """Tasks without an outcome."""
        return len(self._tasks)

    @property
    def room(self) -> int:
        """Tasks that may be submitted now."""
        return 64 - len(self._tasks)

    def takes(self, device: int) -> bool:
        """Tell whether a task may be submitted now."""
        del device
        return self.room > 0

    @property
    def in_flight(self) -> list[ProbeTask]:
        """What is being examined."""
        return list(self._tasks)[:1]

    def submit(self, task: ProbeTask) -> None:
        """Take a task."""
        self._tasks.append(task)

    def wait(self, timeout: float) -> list[ProbeOutcome]:
        """Give the outcomes."""
        del timeout
        found = []
        while self._tasks:
            task = self._tasks.popleft()
            status = os.lstat(task.path)
            stat = FileStat(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev, None)
            found.append(ProbeOutcome(task, INFO, xxhash.xxh3_128_hexdigest(task.path), stat, 0, 0.0, None))
        return found


def make_files(root: Path, count: int, folder_size: int) -> None:
    """Fill a new folder with small files, all of some years ago."""
    for number in range(count):
        folder = root / f"folder {number // folder_size:05d}"
        if number % folder_size == 0:
            folder.mkdir(parents=True)
        path = f"{folder}/clip {number:07d}.mp4"
        with open(path, "wb") as file:  # noqa: PTH123 - a million times
            file.write(b"%d" % number)
        os.utime(path, ns=(LONG_AGO_NS + number, LONG_AGO_NS + number))


def first_scan(root: Path, data: Path) -> None:
    """In a process of its own: scan with the examination pretended, and print what it took."""
    settings = Settings(data_dir=data)
    data.mkdir(parents=True)
    catalogue = open_sqlite(settings.library_database)
    upgrade(catalogue, "library")
    repository = LibraryRepository(catalogue)
    disks = DiskShelf(60.0)

    async def scan() -> dict[str, Any]:
        queue = InMemoryJobQueue(catalogue, run_on_submit=False)
        handler = make_scan_handler(
            repository, settings, open_disk=disks.open, open_pool=lambda: cast("ProbePool", PretendedPool())
        )
        queue.register_handler("scan", handler)
        job = (await queue.submit(scan_request(ScanOptions(path=os.fsencode(root)), repository))).job
        await queue.run_pending()
        ended = await queue.get(job.id)
        assert ended.result is not None, ended
        return ended.result

    result = asyncio.run(scan())
    disks.close()
    print(f"{result['new']} {result['duration_seconds']} {psutil.Process().memory_info().rss} {_peak()}")


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


class Clients:
    """Requests one after another, as long as it lasts, each of what the page asks."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.seconds: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Clients":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._end.is_set():
            started = time.perf_counter()
            self._server.client.get("/api/v1/videos", params={"limit": 50}).raise_for_status()
            self.seconds.append(time.perf_counter() - started)
            time.sleep(0.005)

    @property
    def p99(self) -> float:
        """In milliseconds."""
        return percentile(self.seconds, 0.99) * 1000


class Sampler:
    """The largest resident set of the worker, and of the processes that list for it, while something goes on."""

    def __init__(self, worker: psutil.Process) -> None:
        self._worker = worker
        self.worker = self.listers = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.worker = max(self.worker, self._worker.memory_info().rss)
                listers = [child.memory_info().rss for child in self._worker.children()]
            except psutil.Error:
                continue
            self.listers = max(self.listers, sum(listers))


def measure(folder: Path, count: int, folder_size: int, runs: int) -> dict[str, Any]:
    """Do it all with one tree; gives the figures."""
    tree, data = folder / "tree", folder / "data"
    make_files(tree, count, folder_size)
    command = [sys.executable, "-m", "benchmarks.million", "--first-scan", str(tree), str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    new, seconds, _, peak = done.stdout.split()
    assert int(new) == count
    figures: dict[str, Any] = {
        "files": count,
        "first_scan_seconds": round(float(seconds), 1),
        "first_scan_peak_mib": round(int(peak) / 2**20),
    }
    with serve(data) as server:
        server.finish(server.scan(tree))
        with Clients(server) as idle:
            time.sleep(3)
        ours, finds, busy = [], [], []
        with Sampler(server.worker()) as memory:
            for _ in range(runs):
                finds.append(_find(tree))
                with Clients(server) as clients:
                    result = server.finish(server.scan(tree))["result"]
                busy += clients.seconds
                assert result["unchanged"] == count, result
                # Without anyone who asks beside it, for the comparison.
                ours.append(server.finish(server.scan(tree))["result"]["duration_seconds"])
        figures |= {
            "rescan_seconds": round(statistics.median(ours), 3),
            "find_seconds": round(statistics.median(finds), 3),
            "rescan_to_find": round(statistics.median(ours) / statistics.median(finds), 2),
            "rescan_peak_mib": round(memory.worker / 2**20),
            "listers_peak_mib": round(memory.listers / 2**20),
            "idle_p99_ms": round(idle.p99, 1),
            "busy_p99_ms": round(percentile(busy, 0.99) * 1000, 1),
        }
        changed = sorted(tree.iterdir())[:: max(1, len(list(tree.iterdir())) // CHANGES)][:CHANGES]
        for number in range(CHANGES):
            (changed[number % len(changed)] / f"added {number}.mp4").write_bytes(unique_clip(number))
        result = server.finish(server.scan(tree))["result"]
        assert (result["new"], result["unchanged"]) == (CHANGES, count), result
        figures["rescan_with_100_new_seconds"] = round(result["duration_seconds"], 2)
    return figures


def _find(tree: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["find", str(tree), "-printf", r"%s %T@ %p\n"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--folder-size", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--first-scan", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first_scan:
        first_scan(*args.first_scan)
        return
    with scratch() as folder:
        small = measure(folder / "small", args.small, args.folder_size, args.runs)
        large = measure(folder / "large", args.files, args.folder_size, args.runs)
    memory = round(large["rescan_peak_mib"] / small["rescan_peak_mib"], 2)
    first = round(large["first_scan_peak_mib"] / small["first_scan_peak_mib"], 2)
    sentence = (
        f"unchanged rescan of {large['files']} files in {large['rescan_seconds']} s, "
        f"{large['rescan_to_find']} times find; "
        f"peak memory {first} times (first scan) and {memory} times (rescan) that at {small['files']}"
    )
    publish("a million files", sentence, {"small": small, "large": large, "first": first, "memory": memory})


if __name__ == "__main__":
    main()
