"""The application behind a real server, in a thread; nobody runs its jobs but the test."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn

from stoat_ferret.api.app import create_app
from stoat_ferret.api.streams import EventStreams
from stoat_ferret.cli.serve import listen, url_of
from stoat_ferret.db.engine import open_sqlite
from stoat_ferret.jobs.feed import JobFeed
from stoat_ferret.jobs.store import JobStore
from stoat_ferret.settings import Settings

PATIENCE = 60.0
"""Seconds that only something that hangs would take."""
Event = tuple[int, dict[str, Any]]
"""Its id and its data."""


class Live:
    """A running server, what it works with, and the job records as another process would change them."""

    def __init__(self, url: str, server: uvicorn.Server, store: JobStore) -> None:
        self.url = url
        self.store = store
        self.client = httpx2.Client(base_url=url, timeout=PATIENCE)
        self.feed: JobFeed = server.lifespan.state["feed"]
        self.streams: EventStreams = server.lifespan.state["streams"]

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator["Stream"]:
        """Open a stream of events."""
        with self.client.stream("GET", f"/api/v1{path}", headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            yield Stream(answer)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that happens in the server."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < give_up
            time.sleep(0.01)


class Stream:
    """Reads events."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.headers = answer.headers
        self._lines = answer.iter_lines()
        self.comments = 0

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line:
                name, _, value = line.partition(": ")
                self.comments += not name
                fields[name] = value
                continue
            if "data" in fields:
                assert fields["event"] == "job"
                yield int(fields["id"]), json.loads(fields["data"])
            fields = {}

    def take(self, count: int) -> list[Event]:
        """Give the next so many events."""
        events = iter(self)
        return [next(events) for _ in range(count)]

    def until_comment(self) -> None:
        """Read on until there was another comment."""
        before = self.comments
        for line in self._lines:
            self.comments += line.startswith(":")
            if self.comments > before:
                return


@contextmanager
def serving(settings: Settings, **options: Any) -> Iterator[Live]:
    """Serve in a thread."""
    listener = listen("127.0.0.1", 0)
    app = create_app(settings, supervise_worker=False, **options)
    config = uvicorn.Config(app, log_config=None, log_level="critical", lifespan="on", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    give_up = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < give_up
        time.sleep(0.01)
    database = open_sqlite(settings.jobs_database)
    live = Live(url_of(listener), server, JobStore(database, lease_seconds=10))
    try:
        yield live
    finally:
        live.client.close()
        database.close()
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
    assert not thread.is_alive()
