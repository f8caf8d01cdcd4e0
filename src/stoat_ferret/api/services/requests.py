"""What every job that is put on the queue is given: how urgent it is, and how long it may take."""

from dataclasses import replace

from stoat_ferret.jobs.model import JobRequest
from stoat_ferret.settings import Settings

ASKED_FOR_PART = 15
"""The priority of a scan of one folder or file of a library that somebody waits for: a scan of the whole gives way."""
NOTICED = 12
"""The priority of what a watched library brings: small scans of the folders that were touched, likewise."""
ASKED_FOR = 10
"""The priority of whatever else a person or program waits for."""
ENRICHING = 5
"""The priority of what a person asked for and can do without for a while: the index comes first."""
BY_ITSELF = 0
"""The priority of what a schedule brings."""
AFTERWARDS = -5
"""The priority of what follows a scan by itself: the scans of other libraries go before."""
UPKEEP = -10
"""The priority of what nobody would miss for a while."""


def with_settings(request: JobRequest, settings: Settings, *, priority: int) -> JobRequest:
    """Give the request its priority, and the time that jobs of its type may take where the settings limit that.

    Whoever submits a job goes through here, so that a setting holds for every job of its type.
    """
    return replace(request, priority=priority, timeout_seconds=settings.job_timeouts.get(request.type))
