"""A first scan of a slow disk, and with a cold cache: do we wait for the disk, or the disk for us?

usage: slow_disk.py [--corpus DIR | --files 60] [--a-container 12] [--milliseconds 10] [--runs 3]

1. A FUSE mirror shows the films as a disk that takes 10 ms to answer each read of up to 128 KiB, with the kernel's
   cache and its reading ahead. The server scans it with 2 processes, and the mirror notes all it was asked. Then a
   reader that does nothing else asks a fresh mirror for the same: each file opened as often, the same ranges, two
   files at a time. The ratio is how many times as long the scan takes as that reading: 1 is the disk's own speed. It
   can be less where the kernel reads ahead while a file is being examined. `waiting` is the part of the scan in which
   both processes could have been waiting for the disk: reads times 10 ms, divided by two and by the scan's time.
2. The same without the mirror, after the films were dropped from the page cache (`posix_fadvise`; their folders and
   inodes stay): this machine's disk, cold, against the same reading.

The processes were started before, by a scan of one small clip.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import _corpus, _peers
from benchmarks._harness import publish, scratch, serve
from benchmarks._mirror import CannotMirrorError, Traffic, mirror
from benchmarks.reads import copy_some
from tools.trees import unique_clip


def scan(films: Path, data: Path, warm: Path) -> tuple[float, int]:
    """Scan films into an empty catalogue with processes that are ready; gives seconds and new entries."""
    with serve(data, STOAT_PROBE_WORKERS=str(_peers.AT_A_TIME)) as server:
        server.finish(server.scan(warm))
        started = time.perf_counter()
        result = server.finish(server.scan(films))["result"]
        return time.perf_counter() - started, int(result["new"])


def read_only(films: Path, traffic: Mapping[str, Traffic]) -> float:
    """Read what was read, and do nothing with it, two files at a time; gives seconds."""

    def read(name: str) -> None:
        path, asked = films / name, traffic[name]
        descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for _ in range(max(1, asked.opens))]
        try:
            os.posix_fadvise(descriptors[0], 0, 0, os.POSIX_FADV_RANDOM)  # what was read ahead is asked for as it was
            for offset, length in asked.reads:
                os.pread(descriptors[0], length, offset)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    started = time.perf_counter()
    with ThreadPoolExecutor(_peers.AT_A_TIME) as threads:
        list(threads.map(read, sorted(traffic)))
    return time.perf_counter() - started


def forget(files: list[Path]) -> None:
    """Drop files from the page cache; what is not on the disk yet is written first."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def on_slow_disk(films: Path, warm: Path, seconds_a_read: float) -> tuple[float, float, dict[str, Traffic], int]:
    """Scan a fresh slow mirror, then read the same from another.

    Returns:
        Seconds of the scan and of the reading, what was asked for, and how many requests the reading made.
    """
    with scratch() as place:
        with mirror(films, place / "scanned", seconds_a_read=seconds_a_read) as shown:
            ours, _ = scan(shown.folder, place / "data", warm)
            traffic = shown.take()
        with mirror(films, place / "read", seconds_a_read=seconds_a_read) as shown:
            theirs = read_only(shown.folder, traffic)
            again = sum(len(each.reads) for each in shown.take().values())
    return ours, theirs, traffic, again


def on_cold_cache(films: Path, files: list[Path], warm: Path, traffic: Mapping[str, Traffic]) -> tuple[float, float]:
    """Scan with a cold cache, then read the same with a cold cache; gives seconds of each."""
    with scratch() as place:
        forget(files)
        ours, _ = scan(films, place / "data", warm)
        forget(files)
        return ours, read_only(films, traffic)


def measure(films: Path, files: list[Path], warm: Path, seconds_a_read: float, runs: int) -> dict[str, Any]:
    """Take turns; gives the figures."""
    slow, cold = [], []
    for _ in range(runs):
        ours, theirs, traffic, again = on_slow_disk(films, warm, seconds_a_read)
        slow.append((ours, theirs))
        cold.append(on_cold_cache(films, files, warm, traffic))
    requests = sum(len(each.reads) for each in traffic.values())
    figures: dict[str, Any] = {
        "files": len(files),
        "milliseconds_a_read": seconds_a_read * 1000,
        "requests_a_file": round(requests / len(files), 1),
        "requests_a_file_of_reader": round(again / len(files), 1),
        "bytes_a_file": sum(each.bytes_read for each in traffic.values()) // len(files),
    }
    for name, pairs in (("slow", slow), ("cold", cold)):
        ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
        figures[name] = {
            "scan_seconds": round(ours, 3),
            "reading_seconds": round(theirs, 3),
            "to_reading": round(ours / theirs, 2),
            "files_a_second": round(len(files) / ours, 1),
        }
    waiting = requests * seconds_a_read / _peers.AT_A_TIME / statistics.median(ours for ours, _ in slow)
    figures["slow"]["waiting"] = round(waiting, 2)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _corpus.add_arguments(parser, files=60)
    parser.add_argument("--a-container", type=int, default=12, help="films of each container looked at, at most")
    parser.add_argument("--milliseconds", type=float, default=10.0, help="that each read takes on the slow disk")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with _corpus.chosen(args) as folder, scratch() as place:
        films, warm = place / "films", place / "warm"
        files = copy_some(folder, films, args.a_container)
        warm.mkdir()
        (warm / "clip.mp4").write_bytes(unique_clip(0))
        try:
            figures = measure(films, files, warm, args.milliseconds / 1000, args.runs)
        except CannotMirrorError as error:
            raise SystemExit(str(error)) from error
    sentence = (
        f"at {args.milliseconds:g} ms a read, {figures['slow']['to_reading']} times as long as reading the same bytes; "
        f"from this machine's disk, cold, {figures['cold']['to_reading']} times"
    )
    publish("slow disk", sentence, figures)


if __name__ == "__main__":
    main()
