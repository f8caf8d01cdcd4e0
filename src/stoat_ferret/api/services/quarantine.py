"""Files that were set aside: examined again because somebody asks."""

from anyio import to_thread

from stoat_ferret import paths
from stoat_ferret.api.services.scan import prepare_file_scan
from stoat_ferret.errors import InvalidPathError
from stoat_ferret.jobs.queue import AsyncJobQueue
from stoat_ferret.library import history
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.settings import Settings

PAGE = 500


async def retry(
    wanted: list[bytes] | None, queue: AsyncJobQueue, repository: LibraryRepository, settings: Settings
) -> list[str]:
    """Submit a scan of each of some files, or of all that are set aside; gives the jobs' ids.

    Raises:
        InvalidPathError: one of them is not set aside; nothing was submitted.
    """
    aside = await to_thread.run_sync(_all, repository)
    if wanted is not None:
        strange = [path for path in wanted if path not in aside]
        if strange:
            msg = f"{paths.display(strange[0])} is not set aside. `stoat quarantine list` tells what is."
            raise InvalidPathError(msg)
        aside = list(dict.fromkeys(wanted))
    jobs = []
    for path in aside:
        request = await prepare_file_scan(path, settings, repository, force=True)
        jobs.append((await queue.submit(request)).job.id)
    return jobs


def _all(repository: LibraryRepository) -> list[bytes]:
    found: list[bytes] = []
    while page := history.set_aside(repository.database, found[-1] if found else b"", PAGE):
        found += [each.path_bytes for each in page]
    return found
