"""Probe pools that are kept for a while between uses: to start processes takes longer than a part of a scan does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stoat_ferret.media.pool import ProbePool

KEEP_SECONDS = 20.0
"""How long a pool stays ready after its last use."""


class PoolShelf:
    """Lends pools; each is used by one at a time. Any thread may ask."""

    def __init__(self, open_pool: Callable[[], ProbePool], *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._open = open_pool
        self._keep = keep_seconds
        self._lock = threading.Lock()
        self._ready: list[tuple[ProbePool, float]] = []
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Callable[[], ProbePool]]:
        """Give what gives a pool, the same one each time, which is opened or taken from the shelf at the first call.

        A pool that comes back busy, because its user was cut off, is closed: nobody is to get another one's outcomes.
        """
        lent: list[ProbePool] = []

        def pool() -> ProbePool:
            if not lent:
                lent.append(self._take() or self._open())
            return lent[0]

        try:
            yield pool
        finally:
            for each in lent:
                self._put_back(each)

    @contextmanager
    def open(self) -> Iterator[ProbePool]:
        """Give a pool, opened or taken from the shelf, to be used in a `with` statement; otherwise as `lend`."""
        with self.lend() as pool:
            yield pool()

    def close(self) -> None:
        """Close what lies on the shelf, and from now on whatever comes back."""
        with self._lock:
            self._closed = True
            ready, self._ready = self._ready, []
            if self._timer is not None:
                self._timer.cancel()
        for pool, _ in ready:
            pool.close()

    def _take(self) -> ProbePool | None:
        with self._lock:
            return self._ready.pop()[0] if self._ready else None

    def _put_back(self, pool: ProbePool) -> None:
        with self._lock:
            keep = not self._closed and not pool.outstanding
            if keep:
                self._ready.append((pool, time.monotonic()))
                self._watch()
        if not keep:
            pool.close()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._keep, self._clear_out)
            self._timer.daemon = True
            self._timer.start()

    def _clear_out(self) -> None:
        with self._lock:
            until = time.monotonic() - self._keep
            old = [pool for pool, since in self._ready if since <= until]
            self._ready = [(pool, since) for pool, since in self._ready if since > until]
            self._timer = None
            if self._ready and not self._closed:
                self._watch()
        for pool in old:
            pool.close()
