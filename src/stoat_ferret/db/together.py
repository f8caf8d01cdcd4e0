"""Calls that change a database, made by one thread: those that wait at the same time are committed at once.

A durable commit waits for the disk, for some milliseconds; what is asked meanwhile can wait for one more, together.
"""

import asyncio
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from stoat_ferret.db.engine import Database
from stoat_ferret.errors import StorageBusyError

MOST_TOGETHER = 32
"""Calls in one transaction, so that nobody waits long for others' work."""

T = TypeVar("T")


class Committer:
    """Makes calls in a thread of its own, one after another; any number of event loops and threads may ask.

    No call is answered before what it wrote is committed. One that raises leaves nothing and does not harm the others.
    Where the database fails a common commit, each of its calls is made anew, by itself.

    Args:
        database: what the calls change, by its `write()`.
        name: of the thread.
    """

    def __init__(self, database: Database, *, name: str) -> None:
        self._database = database
        self._name = name
        self._waiting: SimpleQueue[_Call | None] = SimpleQueue()
        self._opening = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def call(self, function: Callable[[], T], *, durable: bool) -> T:
        """Make a call, and give what it returns once that is committed.

        Args:
            function: what changes the database; it is made a second time where the first one was undone.
            durable: whether it writes what must survive a power cut.
        """
        call = _Call(function, durable)
        with self._opening:
            if self._closed:
                msg = "no calls are made any more"
                raise RuntimeError(msg)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._waiting.put(call)
        result: T = await call.answer
        return result

    def close(self) -> None:
        """End the thread, once it has done what it was asked."""
        with self._opening:
            self._closed = True
            self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        going_on = True
        while going_on:
            waiting = self._next()
            going_on = None not in waiting
            calls = [call for call in waiting if call is not None and not call.answer.cancelled()]
            self._make(calls)
            _answer(calls)

    def _next(self) -> "list[_Call | None]":
        calls = [self._waiting.get()]
        try:
            while len(calls) < MOST_TOGETHER:
                calls.append(self._waiting.get_nowait())
        except Empty:
            pass
        return calls

    def _make(self, calls: "Collection[_Call]") -> None:
        if len(calls) > 1 and self._make_together(calls):
            return
        for call in calls:
            call.make()

    def _make_together(self, calls: "Collection[_Call]") -> bool:
        """Make calls in one transaction; False where that was undone, so that they have to be made anew."""
        try:
            with self._database.together(durable=any(call.durable for call in calls)):
                for call in calls:
                    call.make()
        except StorageBusyError as error:
            for call in calls:  # each by itself would wait as long, and in vain
                call.error = error
        except Exception:  # noqa: BLE001 - the caller whose fault it is will be told
            return False
        return True


class _Call:
    """A call, and what came of it; made in the event loop that waits for the answer."""

    def __init__(self, function: Callable[[], Any], durable: bool) -> None:
        self.function = function
        self.durable = durable
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def make(self) -> None:
        self.result = self.error = None
        try:
            self.result = self.function()
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            self.error = error

    def tell(self) -> None:
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


def _answer(calls: Collection[_Call]) -> None:
    """Wake each event loop once, however many of its calls were made."""
    for loop in {call.loop for call in calls}:
        with suppress(RuntimeError):  # that loop is closed, and nobody waits in it any more
            loop.call_soon_threadsafe(_tell, [call for call in calls if call.loop is loop])


def _tell(calls: Collection[_Call]) -> None:
    for call in calls:
        call.tell()
