"""The change feed as it happens: one look at the database for all who wait, and rows that are read once."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stoat_ferret.api.schemas.change import ChangeResponse
from stoat_ferret.api.streams import GREETING, HEADERS, HEARTBEAT, MEDIA_TYPE, EventStreams
from stoat_ferret.db.engine import Database
from stoat_ferret.errors import StorageError
from stoat_ferret.jobs.wakeup import Wakeup
from stoat_ferret.library import changes
from stoat_ferret.library.models import Change

LOOK_SECONDS = 0.25
"""How often the database is asked for news while somebody waits."""
KEPT_CHANGES = 5_000
CHANGES_A_READ = 1_000
CHANGES_AN_EVENT_READ = 200

log = structlog.get_logger(__name__)


class ChangeFeed:
    """Follows the catalogue's changes for any number of readers in one event loop; asks only while one waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._position = 0
        self._news = Wakeup()
        self._readers = 0
        self._follower: asyncio.Task[None] | None = None
        self.over = False
        """True once the server ends."""

    async def take(self, after: int, limit: int, timeout_seconds: float = 0.0) -> list[Change]:
        """Give up to `limit` changes that follow number `after`, as soon as there are any; [] when the time is over.

        Raises:
            ChangesCompactedError: that part of the feed was compacted.
            StorageError: the database could not be used.
        """
        found = await self._read(after, limit)
        if found or timeout_seconds <= 0:
            return found
        self._readers += 1
        self._begin()
        try:
            return await self._news.until(
                lambda: self._read(after, limit), lambda rows: bool(rows) or self.over, timeout_seconds
            )
        finally:
            self._readers -= 1
            if not self._readers:
                self._rest()

    def end(self) -> None:
        """Let all who wait go."""
        self.over = True
        self._rest()
        self._news.notify()

    async def _read(self, after: int, limit: int) -> list[Change]:
        if self._recent and self._recent[0].seq <= after + 1 and self._follower is not None:
            return [change for change in self._recent if change.seq > after][:limit]
        return await to_thread.run_sync(changes.read_after, self._database, after, limit)

    def _begin(self) -> None:
        if self._follower is None and not self.over:
            self._recent.clear()
            self._follower = asyncio.create_task(self._follow())

    def _rest(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            self._follower = None
            self._recent.clear()

    async def _follow(self) -> None:
        position: int | None = None
        while True:
            try:
                if position is None:
                    position = (await to_thread.run_sync(changes.position, self._database))[0]
                    self._news.notify()  # what came before is read by each who lacks it
                fresh = await to_thread.run_sync(changes.read, self._database, position, CHANGES_A_READ)
            except StorageError as error:
                log.warning("cannot follow the changes; trying again", error=error.message)
                fresh = []
            if fresh:
                self._recent.extend(fresh)
                position = fresh[-1].seq
                self._news.notify()
            else:
                await asyncio.sleep(LOOK_SECONDS)


def encode(found: Sequence[Change]) -> bytes:
    """Write changes as events."""
    return b"".join(
        f"event: change\nid: {change.seq}\ndata: {ChangeResponse.of(change).model_dump_json()}\n\n".encode()
        for change in found
    )


class ChangeStream(Response):
    """The feed from a number on, as an answer that does not end."""

    media_type = MEDIA_TYPE

    def __init__(self, feed: ChangeFeed, streams: EventStreams, after: int) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._feed = feed
        self._streams = streams
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer.

        Raises:
            TooManyStreamsError: there are as many as there may be.
            ChangesCompactedError: that part of the feed was compacted.
            StorageError: the database could not be used.
        """
        with self._streams.slot():
            found = await self._feed.take(self._after, CHANGES_AN_EVENT_READ)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            telling = asyncio.create_task(self._tell(send, found))
            watching = asyncio.create_task(_until_gone(receive))
            try:
                await asyncio.wait({telling, watching}, return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    telling.result()
            except TimeoutError:
                log.info("a client does not read its stream of changes and is let go")
            finally:
                for task in (telling, watching):
                    task.cancel()
                await asyncio.wait({telling, watching})

    async def _tell(self, send: Send, found: Sequence[Change]) -> None:
        await self._push(send, GREETING)
        after = self._after
        while not self._feed.over:
            if found:
                await self._push(send, encode(found))
                after = found[-1].seq
            else:
                await self._push(send, HEARTBEAT)
            found = await self._feed.take(after, CHANGES_AN_EVENT_READ, self._streams.heartbeat_seconds)
        await self._push(send, b"", more=False)

    async def _push(self, send: Send, data: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._streams.stalled_seconds):
            await send({"type": "http.response.body", "body": data, "more_body": more})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
