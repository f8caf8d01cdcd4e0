"""Numbers that a worker gathers while it works, added now and then to those that are kept with the jobs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from stoat_ferret.errors import StorageError
from stoat_ferret.jobs.queue import AsyncJobQueue

log = structlog.get_logger(__name__)


async def count_regularly(
    queue: AsyncJobQueue, take: Callable[[], Mapping[str, float]], *, every_seconds: float
) -> None:
    """Count what `take` gives, again and again until cancelled, and once more then.

    What cannot be counted now is counted later; only what was gathered since the last time is lost with the process.
    """
    gathered: Counter[str] = Counter()

    async def count() -> None:
        gathered.update(take())
        if gathered:
            try:
                await queue.count(dict(gathered))
            except StorageError as error:
                log.warning("cannot count; trying again", error=error.message)
            else:
                gathered.clear()

    try:
        while True:
            await asyncio.sleep(every_seconds)
            await count()
    finally:
        await count()
