"""Where the time of examining one file goes, in microseconds, by container.

usage: examining.py [--corpus DIR | --files 120] [--runs 5] [--a-container 36]

Does in this process, one after the other, what a process that examines files does for each: open and look at the file's
state, fingerprint, the media facts, the answer as JSON. Of each file the fastest of some runs counts, of each container
the mean over its files; in wall time and in processor time, which other programs on the machine disturb less. `headers`
tells for how many of the files the container's headers said all, so that no decoder was started. Warm cache.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import _corpus
from benchmarks._harness import publish
from stoat_ferret.errors import MediaError
from stoat_ferret.media import probe as media
from stoat_ferret.media.fingerprint import fingerprint
from stoat_ferret.media.info import MediaInfo
from stoat_ferret.media.source import Source, opened
from stoat_ferret.statx import birth_ns

T = TypeVar("T")
STEPS = ("state", "fingerprint", "facts", "json")


class Clock:
    """Takes the time of steps, in microseconds, wall and processor's."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[[], T]) -> T:
        """Do a step."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            self.processor[step] = (time.process_time() - processor) * 1e6
            self.wall[step] = (time.perf_counter() - wall) * 1e6


def examine(path: bytes) -> Clock:
    """Examine one file step by step."""
    clock = Clock()

    def look() -> tuple[int, Source]:
        os.stat(path)  # noqa: PTH116 - a path of bytes
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        birth_ns(descriptor)
        return descriptor, Source(descriptor, path)

    descriptor, source = clock("state", look)
    try:
        clock("fingerprint", lambda: fingerprint(source))
        info: MediaInfo | None = None
        with suppress(MediaError):
            info = clock("facts", lambda: media.probe(path, source))
        clock("json", lambda: json.dumps(info.to_json() if info else None))
    finally:
        os.close(descriptor)
    return clock


def measure(files: list[Path], runs: int) -> dict[str, Any]:
    """Give the figures of the files of one container."""
    walls, processors = defaultdict(list), defaultdict(list)
    for path in files:
        clocks = [examine(os.fsencode(path)) for _ in range(runs)]
        for step in STEPS:
            walls[step].append(min(clock.wall[step] for clock in clocks))
            processors[step].append(min(clock.processor[step] for clock in clocks))
    wall = {step: round(statistics.mean(walls[step])) for step in STEPS}
    processor = {step: round(statistics.mean(processors[step])) for step in STEPS}
    return {
        "files": len(files),
        "headers": sum(by_headers(path) for path in files),
        "wall_us": wall | {"all": sum(wall.values())},
        "processor_us": processor | {"all": sum(processor.values())},
    }


def by_headers(path: Path) -> bool:
    """Tell whether a file's headers say all of it."""
    with opened(bytes(path)) as source:
        return media._from_headers(source) is not None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _corpus.add_arguments(parser, files=120)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--a-container", type=int, default=36, help="files of each container looked at, at most")
    args = parser.parse_args()
    with _corpus.chosen(args) as folder:
        sorted_out = _corpus.by_container(_corpus.films(folder))
        chosen = {name: _corpus.some(files, args.a_container) for name, files in sorted_out.items()}
        _corpus.warm([path for files in chosen.values() for path in files])
        figures = {name: measure(files, args.runs) for name, files in chosen.items()}
    parts = ", ".join(f"{name} {figure['processor_us']['all'] / 1000:.2f}" for name, figure in figures.items())
    publish("examining", f"milliseconds of processor time a file: {parts}", figures)


if __name__ == "__main__":
    main()
