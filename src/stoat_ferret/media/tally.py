"""How long examining files takes, counted for whoever watches the program."""

import threading
from bisect import bisect_left
from collections import Counter
from typing import Any

from stoat_ferret.media.disk_limits import DiskLimits
from stoat_ferret.media.pool import ProbeOutcome, ProbePool, ProbeTask

BUCKET = "probe_seconds_bucket:"
SUM = "probe_seconds_sum"
COUNT = "probe_seconds_count"
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds up to which a bucket counts, from the one before it on; one more takes what is longer."""


class ProbeTally:
    """Counts durations by name: `probe_seconds_bucket:LE` (each in one bucket only), `_sum`, `_count`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()

    def add(self, seconds: float) -> None:
        """Count one file."""
        place = bisect_left(BOUNDS, seconds)
        bound = f"{BOUNDS[place]:g}" if place < len(BOUNDS) else "+Inf"
        with self._lock:
            self._numbers.update({BUCKET + bound: 1, SUM: seconds, COUNT: 1})

    def take(self) -> dict[str, float]:
        """Give what was counted since the last time."""
        with self._lock:
            taken, self._numbers = self._numbers, Counter()
        return dict(taken)


class TalliedPool(ProbePool):
    """A pool whose outcomes are counted, but for those of files that hung or killed their processes.

    It takes nothing on that would go beyond the limits, which other pools may share.
    """

    def __init__(self, tally: ProbeTally, limits: DiskLimits, **options: Any) -> None:
        super().__init__(**options)
        self._tally = tally
        self._limits = limits
        self._in_hand: Counter[int] = Counter()

    @property
    def room(self) -> int:
        """How many more tasks may be submitted now."""
        return 0 if self._limits.behind else super().room

    def takes(self, device: int) -> bool:
        """Tell whether a file on a device may be submitted now."""
        return super().takes(device) and self._limits.allows(device)

    def submit(self, task: ProbeTask) -> None:
        """Take a task on; never waits."""
        super().submit(task)
        self._limits.begin(task.device)
        self._in_hand[task.device] += 1

    def close(self) -> None:
        """End all processes; tasks without an outcome get none."""
        super().close()
        for device, count in self._in_hand.items():
            self._limits.end(device, count)
        self._in_hand.clear()

    def wait(self, timeout: float) -> list[ProbeOutcome]:
        """Give what outcomes there are."""
        outcomes = super().wait(timeout)
        self._limits.has_read(sum(outcome.bytes_read for outcome in outcomes))
        for outcome in outcomes:
            self._limits.end(outcome.task.device)
            self._in_hand[outcome.task.device] -= 1
            if outcome.seconds > 0 and outcome.task.picture is None:
                self._tally.add(outcome.seconds)
        return outcomes
