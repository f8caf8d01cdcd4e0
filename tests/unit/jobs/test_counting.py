"""Numbers that a worker gathers are kept with the jobs."""

import asyncio
from collections import deque
from collections.abc import Mapping

import pytest

from stoat_ferret.errors import StorageBusyError
from stoat_ferret.jobs.counting import count_regularly
from stoat_ferret.jobs.queue import InMemoryJobQueue

pytestmark = pytest.mark.anyio


async def test_what_is_gathered_is_counted_also_at_the_end() -> None:
    """And what could not be counted is counted with what comes next."""
    queue = InMemoryJobQueue()
    gathered = deque([{"a": 1.0}, {}, {"a": 2.0, "b": 0.5}, {"b": 1.0}])
    failures = [StorageBusyError()]
    empty = asyncio.Event()

    def take() -> Mapping[str, float]:
        if not gathered:
            empty.set()
            return {}
        return gathered.popleft()

    count = queue.count

    async def fail_once(numbers: Mapping[str, float]) -> None:
        if failures:
            raise failures.pop()
        await count(numbers)

    queue.count = fail_once  # type: ignore[method-assign]
    task = asyncio.create_task(count_regularly(queue, take, every_seconds=0.0))
    async with asyncio.timeout(30):
        await empty.wait()
    gathered.append({"a": 10.0})
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (await queue.statistics()).counters == {"a": 13.0, "b": 1.5}
    queue.close()
