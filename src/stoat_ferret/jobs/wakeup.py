"""Wakes those who wait for a change, in any thread's event loop."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Wakeup:
    """A counter of changes that can be waited for.

    Nothing is missed by reading `version` first, then the state one waits for, and then waiting with that version:
    a change in between makes the wait return at once.
    """

    def __init__(self) -> None:
        self.version = 0
        self._waiters: set[Waiter] = set()
        self._closed = False
        self._condition = threading.Condition()

    def notify(self) -> None:
        """Wake everyone; from any thread."""
        with self._condition:
            self.version += 1
            waiters, self._waiters = self._waiters, set()
            self._condition.notify_all()
        for loop, future in waiters:
            with suppress(RuntimeError):  # that loop is closed, and nobody waits in it any more
                loop.call_soon_threadsafe(_resolve, future)

    async def wait(self, seen: int, timeout_seconds: float) -> None:
        """Return once the version is another one than `seen`, at the latest when the time is over."""
        loop = asyncio.get_running_loop()
        waiter = (loop, loop.create_future())
        with self._condition:
            if self.version != seen:
                return
            self._waiters.add(waiter)
            self._condition.notify_all()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await waiter[1]
        finally:
            with self._condition:
                self._waiters.discard(waiter)

    async def until(
        self,
        look: Callable[[], Awaitable[T]],
        enough: Callable[[T], bool],
        timeout_seconds: float,
        *,
        look_every: float = math.inf,
    ) -> T:
        """Look until it is enough or the time is over, and give what was seen last.

        Looks at first, after every change, and every `look_every` seconds for what the clock alone brings about.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            version = self.version
            seen = await look()
            remaining = deadline - loop.time()
            if enough(seen) or remaining <= 0:
                return seen
            await self.wait(version, min(remaining, look_every))

    def await_waiter(self) -> bool:
        """Block this thread until someone waits; False once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiters or self._closed)
            return not self._closed

    def close(self) -> None:
        """Wake everyone, threads included, for the last time."""
        with self._condition:
            self._closed = True
        self.notify()


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
