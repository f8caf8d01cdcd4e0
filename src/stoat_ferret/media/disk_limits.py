"""What all scans of a process together ask of disks: so many bytes a second, so many files at once on one device."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from stoat_ferret.media.hashing import Throttle


class DiskLimits:
    """Limits that several pools of probe processes share. Thread-safe.

    Args:
        bytes_per_second: read by all of them together; 0: as fast as it goes.
        files_per_device: in hand at one time on one device (`st_dev`); 0: as many as there are processes.
    """

    def __init__(
        self,
        bytes_per_second: float = 0.0,
        files_per_device: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttle = Throttle(bytes_per_second, clock)
        self._most = files_per_device
        self._lock = threading.Lock()
        self._in_hand: Counter[int] = Counter()

    @property
    def behind(self) -> bool:
        """True while more was read than may be."""
        return self._throttle.behind

    def has_read(self, count: int) -> None:
        """Count bytes that were read."""
        self._throttle.wait_seconds(count)

    def allows(self, device: int) -> bool:
        """Tell whether another file of a device may be begun."""
        return not self._most or self._in_hand[device] < self._most

    def begin(self, device: int) -> None:
        """Count a file as in hand; two threads that ask at once may both have been allowed to."""
        with self._lock:
            self._in_hand[device] += 1

    def end(self, device: int, count: int = 1) -> None:
        """Count files as done with."""
        with self._lock:
            self._in_hand[device] -= count
            if self._in_hand[device] <= 0:
                del self._in_hand[device]
