"""What is submitted by itself: maintenance and verification, and the scans of libraries that have a schedule.

Every worker process looks, each for itself; the queue sees to it that each due moment brings one job, however many
look, and that what was missed while nobody did is made up for once.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from stoat_ferret.api.services.maintenance import maintenance_request
from stoat_ferret.api.services.requests import BY_ITSELF, with_settings
from stoat_ferret.api.services.scan import scan_request
from stoat_ferret.api.services.verify import scheduled_verify_request
from stoat_ferret.errors import ConfigurationError, InvalidScheduleError, StorageError
from stoat_ferret.jobs import cron
from stoat_ferret.jobs.model import JobRequest, Schedule
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.settings import Settings

MAINTENANCE = "maintenance"
VERIFICATION = "verification"
OF_LIBRARY = "library:"
"""What the name of a library's schedule begins with; its id follows."""
LONGEST_PAUSE_SECONDS = 30.0
"""How long a new schedule of a library may stay unnoticed."""
SHORTEST_PAUSE_SECONDS = 1.0
RETRY_SECONDS = 5.0

log = structlog.get_logger(__name__)


def now_us() -> int:
    """Give the wall clock in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule as it should be, beside how the queue knows it."""

    name: str
    cron: str
    request: Callable[[], JobRequest]
    library: Library | None
    """None: it is the maintenance, or the verification."""
    problem: str | None
    """Why its line cannot be used, in a sentence; None where it can."""
    known: Schedule | None

    @property
    def settled(self) -> bool:
        """Tell whether the queue knows it as it is."""
        return self.known is not None and self.known.cron == self.cron


def check_settings(settings: Settings) -> None:
    """Make sure that the schedules in the settings can be used.

    Raises:
        ConfigurationError: one cannot.
    """
    for name in ("maintenance_schedule", "verify_schedule"):
        if line := getattr(settings, name):
            try:
                cron.check(line)
            except InvalidScheduleError as error:
                raise ConfigurationError(f"STOAT_{name.upper()}: {error.message}") from error


class Scheduler:
    """Submits what is due.

    Args:
        queue: where to.
        repository: which libraries there are, and when they are scanned by themselves.
        settings: when the maintenance and the verification run, and how long jobs may take.
        clock: the time in microseconds since 1970 UTC, for tests.
    """

    def __init__(
        self,
        queue: AsyncJobQueue,
        repository: LibraryRepository,
        settings: Settings,
        *,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._queue = queue
        self._repository = repository
        self._settings = settings
        self._clock = clock
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            try:
                pause = await self.look()
            except StorageError as error:
                log.warning("cannot look for what is due; trying again", error=error.message)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def look(self) -> float:
        """Submit what is due, and give in how many seconds to look again.

        Raises:
            StorageError: a database could not be used; what was not submitted yet is still due.
        """
        now = self._clock()
        plans = await self.align()
        nearest = now + int(LONGEST_PAUSE_SECONDS * 1_000_000)
        for plan in plans:
            if plan.problem is not None or plan.known is None:
                continue
            due = plan.known.next_at
            if due <= now:
                await self._fire(plan)
                due = cron.next_after(plan.cron, now)
            nearest = min(nearest, due)
        return max(SHORTEST_PAUSE_SECONDS, (nearest - now) / 1_000_000)

    async def align(self) -> list[Plan]:
        """Make known to the queue which schedules there are now, submitting nothing, and give them all.

        One whose line cannot be used is told, once, and is forgotten like one that is gone.

        Raises:
            StorageError: a database could not be used.
        """
        plans = await self.plans()
        usable = {plan.name for plan in plans if plan.problem is None}
        known = {schedule.name for schedule in await self._queue.schedules() if _is_ours(schedule.name)}
        if gone := frozenset(known - usable):
            await self._queue.unschedule(gone)
        changed = False
        for plan in plans:
            if plan.problem is not None:
                self._tell(plan)
            elif not plan.settled:
                changed = True
                await self._fire(plan)
        return await self.plans() if changed else plans

    async def plans(self) -> list[Plan]:
        """Give the schedules that there should be, those of the settings first, changing nothing.

        Raises:
            StorageError: a database could not be used.
        """
        known = {schedule.name: schedule for schedule in await self._queue.schedules()}
        libraries = await asyncio.to_thread(self._repository.scheduled_libraries)
        found = []
        if line := self._settings.maintenance_schedule:
            request = partial(maintenance_request, self._settings)
            found.append(Plan(MAINTENANCE, line, request, None, _problem(line), known.get(MAINTENANCE)))
        if line := self._settings.verify_schedule:
            request = partial(scheduled_verify_request, self._settings)
            found.append(Plan(VERIFICATION, line, request, None, _problem(line), known.get(VERIFICATION)))
        for library in libraries:
            line, name = library.schedule or "", OF_LIBRARY + library.id
            request = partial(self._scan_of, library)
            found.append(Plan(name, line, request, library, _problem(line), known.get(name)))
        return found

    def _scan_of(self, library: Library) -> JobRequest:
        request = scan_request(ScanOptions(path=library.path_bytes), self._repository)
        return with_settings(request, self._settings, priority=BY_ITSELF)

    async def _fire(self, plan: Plan) -> None:
        request = await asyncio.to_thread(plan.request)
        job = await self._queue.fire(plan.name, plan.cron, partial(cron.next_after, plan.cron), request)
        if job is not None:
            log.info("scheduled job submitted", schedule=plan.name, job_id=job.id)

    def _tell(self, plan: Plan) -> None:
        if (plan.name, plan.cron) not in self._told:
            self._told.add((plan.name, plan.cron))
            log.error("schedule cannot be used", schedule=plan.name, problem=plan.problem)


def _is_ours(name: str) -> bool:
    return name in (MAINTENANCE, VERIFICATION) or name.startswith(OF_LIBRARY)


def _problem(line: str) -> str | None:
    try:
        cron.check(line)
    except InvalidScheduleError as error:
        return error.message
    return None
