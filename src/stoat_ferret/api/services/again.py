"""Asking once more for what a job did not complete: as a person would who asks for it now."""

from stoat_ferret.api.services.maintenance import MAINTENANCE_JOB_TYPE, maintenance_request
from stoat_ferret.api.services.requests import ASKED_FOR, with_settings
from stoat_ferret.api.services.scan import SCAN_JOB_TYPE, prepare_scan, scan_options
from stoat_ferret.api.services.thumbnails import THUMBNAILS_JOB_TYPE, prepare_thumbnails
from stoat_ferret.api.services.thumbnails import read_options as thumbnail_options
from stoat_ferret.api.services.verify import VERIFY_JOB_TYPE, prepare_verify
from stoat_ferret.api.services.verify import read_options as verify_options
from stoat_ferret.jobs.model import Job, JobRequest
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.settings import Settings


async def request_anew(job: Job, settings: Settings, repository: LibraryRepository) -> JobRequest:
    """Give the request for what a job was asked for, as the settings and the libraries are now.

    Nothing but what was asked for is taken from the job: how urgent it is, how long it may take, what it excludes and
    where it can run may have been otherwise when it was submitted.

    Raises:
        PathError: as `validate_scan_path` says of a scan's folder.
    """
    if job.type == SCAN_JOB_TYPE:
        return await prepare_scan(scan_options(job.payload), settings, repository)
    if job.type == VERIFY_JOB_TYPE:
        return await prepare_verify(verify_options(job.payload), settings, repository)
    if job.type == THUMBNAILS_JOB_TYPE:
        return await prepare_thumbnails(thumbnail_options(job.payload), settings, repository)
    if job.type == MAINTENANCE_JOB_TYPE:
        return maintenance_request(settings, priority=ASKED_FOR)
    request = JobRequest(type=job.type, payload=job.payload, place=job.place)
    return with_settings(request, settings, priority=ASKED_FOR)
