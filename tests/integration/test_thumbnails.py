"""Pictures made ahead, by the real handler in real processes: each once, and what goes wrong said."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret import paths
from stoat_ferret.api.services.scan import probe_pool
from stoat_ferret.api.services.thumbnails import THUMBNAILS_JOB_TYPE, make_thumbnails_handler, thumbnails_request
from stoat_ferret.db.engine import Database
from stoat_ferret.jobs.model import Job, JobStatus
from stoat_ferret.jobs.queue import InMemoryJobQueue
from stoat_ferret.library import ledger
from stoat_ferret.media import process as process_module
from stoat_ferret.media.cache import PictureCache
from stoat_ferret.media.pool import ProbePool
from stoat_ferret.media.shelf import PoolShelf
from stoat_ferret.scan import thumbnails as thumbnails_module
from stoat_ferret.scan.disk import DirectDisk
from stoat_ferret.scan.thumbnails import ThumbnailOptions
from stoat_ferret.settings import Settings
from tests.factories import Stage, make_settings
from tests.integration.test_media_pool import FAKE_WORKER
from tests.media_files import place_clip
from tests.probe_processes import without_forks
from tools.trees import make_tree

MISBEHAVING = """
from stoat_ferret.media import worker as real
import base64, os, signal
served = real._serve
def serve(pipe, task):
    name = os.path.basename(base64.b64decode(task["path"]))
    if task["kind"] == "thumbnail" and b"crash" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    if task["kind"] == "thumbnail" and b"hang" in name:
        time.sleep(600)
    return served(pipe, task)
real._serve = serve
real.main(sys.argv[1:])
"""


class Pictures:
    """A stage, and pictures of its videos made by the real handler."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self.stage = stage
        self.settings = settings
        self.cache = PictureCache(settings.thumbnail_dir)
        self.open_disk: Callable[..., Any] = DirectDisk
        self.open_pool: Callable[[], ProbePool] = partial(probe_pool, settings)
        self.shelf = PoolShelf(self._open, keep_seconds=0.0)

    def _open(self) -> ProbePool:
        return self.open_pool()

    def make(self, place: Path | None = None, *, retry: bool = False) -> Job:
        """Make what is lacking, and give the ended job."""
        return asyncio.run(self._make(ThumbnailOptions(place=None if place is None else bytes(place), retry=retry)))

    async def _make(self, options: ThumbnailOptions) -> Job:
        queue = InMemoryJobQueue(self.stage.catalogue, run_on_submit=False, clock=lambda: self.stage.now)
        handler = make_thumbnails_handler(
            self.stage.repository, self.cache, self.shelf, open_disk=self.open_disk, here=lambda path: path
        )
        queue.register_handler(THUMBNAILS_JOB_TYPE, handler)
        job = (await queue.submit(thumbnails_request(options, self.settings, self.stage.repository))).job
        await queue.run_pending()
        return await queue.get(job.id)

    def counts(self, place: Path | None = None, *, retry: bool = False) -> dict[str, int]:
        """Make what is lacking, and give the numbers that are not 0."""
        job = self.make(place, retry=retry)
        assert job.status is JobStatus.COMPLETE, job.error
        assert job.result is not None
        names = ("made", "present", "without_picture", "failed")
        return {name: job.result[name] for name in names if job.result[name]}

    def kept(self) -> list[Path]:
        """Give the pictures in the cache."""
        return sorted(self.settings.thumbnail_dir.rglob("*.jpeg"))


@pytest.fixture
def pictures(catalogue: Database, tmp_path: Path) -> Iterator[Pictures]:
    """Pictures of a catalogue that is still empty, by two processes with a short deadline."""
    settings = make_settings(tmp_path / "data", probe_workers=2, probe_timeout_seconds=3.0)
    pictures = Pictures(Stage(catalogue, settings, real_pool=True), settings)
    yield pictures
    pictures.shelf.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three films, of which one has no decodable picture."""
    folder = tmp_path / "v"
    place_clip(folder / "a.mp4")
    place_clip(folder / "b" / "b.mkv", container="mkv", seed=1)
    place_clip(folder / "b" / "zeros.mp4", fast_start=True, seed=2)
    content = (folder / "b" / "zeros.mp4").read_bytes()
    start = content.index(b"mdat") + 4
    (folder / "b" / "zeros.mp4").write_bytes(content[:start] + bytes(len(content) - start))
    return folder


def test_every_video_has_its_picture_made_once(pictures: Pictures, root: Path) -> None:
    """Of the width and format that pages show; what has none is not decoded again until somebody says so."""
    assert pictures.stage.counts(root) == {"new": 3}
    job = pictures.make()
    assert job.result is not None
    [error] = job.result["errors"]
    assert error["path"] == str(root / "b" / "zeros.mp4")
    assert "No picture of this file can be decoded" in error["error"]
    assert job.result["bytes_read"] > 0
    assert (job.result["made"], job.result["without_picture"]) == (2, 1)
    assert [path.read_bytes()[:2] for path in pictures.kept()] == [b"\xff\xd8"] * 2
    again = pictures.make()
    assert again.result is not None
    assert {**again.result, "duration_seconds": 0} == {
        "made": 0,
        "present": 2,
        "without_picture": 1,
        "failed": 0,
        "errors": [error],
        "bytes_read": 0,
        "duration_seconds": 0,
    }
    rows, _ = ledger.page(pictures.stage.catalogue, again.id, outcome=None, cursor=None, limit=9)
    assert [(row.path_bytes, row.code) for row in rows] == [(os.fsencode(root / "b" / "zeros.mp4"), "NO_PICTURE")]
    assert pictures.counts(retry=True) == {"present": 2, "without_picture": 1}
    pictures.kept()[0].unlink()
    assert pictures.counts() == {"made": 1, "present": 1, "without_picture": 1}


def test_only_of_what_is_asked_for(pictures: Pictures, root: Path) -> None:
    """A folder with all below it and nothing beside it, or a file; what is missing has no picture made."""
    place_clip(root / "b c" / "d.mp4", seed=3)
    place_clip(root / "b.mp4", seed=4)
    pictures.stage.counts(root)
    assert pictures.counts(root / "b") == {"made": 1, "without_picture": 1}
    assert pictures.counts(root / "b.mp4") == {"made": 1}
    (root / "a.mp4").unlink()
    pictures.stage.scan(root)
    assert pictures.counts() == {"made": 1, "present": 2, "without_picture": 1}


def test_equal_contents_are_decoded_once(pictures: Pictures, tmp_path: Path) -> None:
    """Their pictures are one; where the first cannot be read, another will do."""
    for name in ("a", "b", "c"):
        place_clip(tmp_path / "v" / f"{name}.mp4")
    pictures.stage.counts(tmp_path / "v")
    (tmp_path / "v" / "a.mp4").unlink()
    assert pictures.counts() == {"made": 1, "present": 1, "failed": 1}
    assert len(pictures.kept()) == 1


def test_a_file_that_is_no_more_what_it_was_has_no_picture_kept(pictures: Pictures, root: Path) -> None:
    """It would be kept by the content that was there before."""
    pictures.stage.counts(root)
    place_clip(root / "a.mp4", seed=9, frames=30)
    job = pictures.make(root / "a.mp4")
    assert job.result is not None
    assert [each["error"] for each in job.result["errors"]] == ["The file has changed since the last scan."]
    assert pictures.kept() == []
    pictures.stage.counts(root)
    assert pictures.counts(root / "a.mp4") == {"made": 1}


def test_a_file_that_kills_or_hangs_its_process_is_tried_twice_and_then_left_alone(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have their pictures; the next run does not try it again."""
    for seed, name in enumerate(("a", "crash", "hang", "z")):
        place_clip(tmp_path / "v" / f"{name}.mp4", seed=seed)
    pictures.stage.counts(tmp_path / "v")
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "fake_media_worker.py").write_text(FAKE_WORKER + MISBEHAVING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "module"))
    monkeypatch.setattr(process_module, "WORKER_MODULE", "fake_media_worker")
    without_forks(monkeypatch)
    job = pictures.make()
    assert job.result is not None
    assert (job.result["made"], job.result["failed"]) == (2, 2)
    crashed, hung = (each["error"] for each in job.result["errors"])
    assert "killed the process that did it, twice" in crashed
    assert "twice" in hung
    began = time.monotonic()
    assert pictures.counts() == {"present": 2, "without_picture": 2}
    assert time.monotonic() - began < 3
    monkeypatch.undo()
    assert pictures.counts(retry=True) == {"made": 2, "present": 2}


class _Silent(DirectDisk):
    """A disk that says nothing."""

    def call(self, function: Any, *arguments: Any) -> Any:
        raise TimeoutError


def test_a_disk_that_hangs_is_not_blamed_on_its_files(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends after a few, and they are tried again."""
    for seed in range(4):
        place_clip(tmp_path / "v" / f"hang {seed}.mp4", seed=seed)
    pictures.stage.counts(tmp_path / "v")
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "fake_media_worker.py").write_text(FAKE_WORKER + MISBEHAVING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "module"))
    monkeypatch.setattr(process_module, "WORKER_MODULE", "fake_media_worker")
    without_forks(monkeypatch)
    pictures.open_disk = _Silent
    pictures.open_pool = partial(probe_pool, pictures.settings.model_copy(update={"probe_timeout_seconds": 0.5}))
    job = pictures.make()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "PATH_TIMEOUT")
    assert "does not answer" in (job.error or "")
    assert job.result is not None
    assert job.result["failed"] >= 2
    monkeypatch.undo()
    pictures.open_disk = DirectDisk
    pictures.open_pool = partial(probe_pool, pictures.settings)
    assert pictures.counts() == {"made": 4}


def test_a_full_disk_ends_it_with_that_reason(pictures: Pictures, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made is kept, and said; no half a picture is."""
    pictures.stage.counts(root)
    assert pictures.counts(root / "a.mp4") == {"made": 1}

    def fills(place: str, data: bytes) -> None:
        Path(place).write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stoat_ferret.media.cache._put", fills)
    job = pictures.make()
    assert (job.status, job.error_code) == (JobStatus.FAILED, "STORAGE_FULL")
    assert str(pictures.settings.thumbnail_dir) in (job.error or "")
    assert job.result is not None
    assert (job.result["made"], job.result["present"]) == (0, 1)
    assert len(list(pictures.settings.thumbnail_dir.rglob("*.*"))) == 1
    monkeypatch.undo()
    assert pictures.counts() == {"made": 1, "present": 1, "without_picture": 1}


def test_limits_of_the_disk_hold(pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many files of a device at once, so many bytes a second."""
    make_tree(tmp_path / "v", 12)
    pictures.stage.counts(tmp_path / "v")
    most = 0
    real = ProbePool.submit

    def counting(pool: ProbePool, task: Any) -> None:
        nonlocal most
        real(pool, task)
        most = max(most, pool.outstanding)

    monkeypatch.setattr(ProbePool, "submit", counting)
    limited = pictures.settings.model_copy(update={"device_concurrency": 1, "scan_bytes_per_second": 200_000.0})
    pictures.open_pool = partial(probe_pool, limited)
    began = time.monotonic()
    job = pictures.make()
    assert job.result is not None
    assert job.result["made"] == 12
    assert most == 1
    assert time.monotonic() - began > (job.result["bytes_read"] - 200_000) / 200_000 * 0.5


def test_names_are_bytes_and_links_are_followed_where_the_library_says_so(pictures: Pictures, tmp_path: Path) -> None:
    """A name that is no text, and a film that lies elsewhere."""
    root = tmp_path / "v"
    root.mkdir()
    place_clip(os.fsencode(root) + b"/\xff\n.mp4", seed=1)
    place_clip(tmp_path / "elsewhere" / "film.mp4", seed=2)
    (root / "link.mp4").symlink_to(tmp_path / "elsewhere" / "film.mp4")
    pictures.stage.counts(root)
    [library] = pictures.stage.repository.libraries()
    pictures.stage.repository.update_library(library.id, follow_symlinks=True)
    assert pictures.stage.counts(root)["new"] == 1
    assert pictures.counts() == {"made": 2}


class _Killed(BaseException):
    """The worker was killed: nothing after this point happened."""


@pytest.mark.parametrize("dies_at", [1, 2, 5, 11])
def test_what_is_in_the_cache_is_not_made_again(
    pictures: Pictures, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """After a death in the midst the next attempt makes the rest; its numbers are those of both."""
    make_tree(root / "tree", 20)
    pictures.stage.counts(root)
    monkeypatch.setattr(thumbnails_module, "STORE_SECONDS", 0.0)
    real, kept = PictureCache.keep, []

    def dies(cache: PictureCache, content: str, *more: Any) -> None:
        real(cache, content, *more)
        kept.append(content)
        if len(kept) == dies_at:
            raise _Killed

    job = asyncio.run(_twice(pictures, monkeypatch, dies))
    assert job.status is JobStatus.COMPLETE
    assert job.attempt == 2
    assert job.result is not None
    assert len(kept) == len(set(kept)) == 22
    # A picture that was kept and not yet counted when the worker died is found present.
    assert job.result["made"] + job.result["present"] == 22
    assert job.result["present"] <= 2
    assert job.result["without_picture"] == 1


async def _twice(pictures: Pictures, monkeypatch: pytest.MonkeyPatch, keep: Callable[..., None]) -> Job:
    queue = InMemoryJobQueue(pictures.stage.catalogue, run_on_submit=False, clock=lambda: pictures.stage.now)
    handler = make_thumbnails_handler(
        pictures.stage.repository, pictures.cache, pictures.shelf, open_disk=DirectDisk, here=lambda path: path
    )
    queue.register_handler(THUMBNAILS_JOB_TYPE, handler)
    await queue.submit(thumbnails_request(ThumbnailOptions(), pictures.settings, pictures.stage.repository))
    monkeypatch.setattr(PictureCache, "keep", keep)
    with _dying():
        await queue.run_pending()
    pictures.stage.now += 3_600_000_000  # the lease ends
    await queue.run_pending()
    [job] = (await queue.list()).jobs
    return job


@contextmanager
def _dying() -> Iterator[None]:
    try:
        yield
    except _Killed:
        return


def test_a_process_that_is_killed_from_outside_costs_nothing(pictures: Pictures, tmp_path: Path) -> None:
    """What it was working on is done by another."""
    make_tree(tmp_path / "v", 40)
    pictures.stage.counts(tmp_path / "v")
    made = 0

    def open_pool() -> ProbePool:
        pool = probe_pool(pictures.settings)
        real = pool.wait

        def wait(timeout: float) -> Any:
            nonlocal made
            outcomes = real(timeout)
            made += len(outcomes)
            if outcomes and made in (3, 17):
                os.kill(pool._seats[0].worker.process.pid, signal.SIGKILL)
            return outcomes

        pool.wait = wait  # type: ignore[method-assign]
        return pool

    pictures.open_pool = open_pool
    assert pictures.counts() == {"made": 40}


def test_a_cache_that_was_deleted_is_made_anew(pictures: Pictures, root: Path) -> None:
    """It may be deleted at any time, reasons included."""
    pictures.stage.counts(root)
    pictures.counts()
    shutil.rmtree(pictures.settings.thumbnail_dir)
    assert pictures.counts() == {"made": 2, "without_picture": 1}


def test_the_same_place_is_the_same_request(pictures: Pictures, root: Path) -> None:
    """Pending ones are joined; scans of the library around a place exclude it."""
    pictures.stage.counts(root)
    make = partial(thumbnails_request, settings=pictures.settings, repository=pictures.stage.repository)
    place = ThumbnailOptions(place=os.fsencode(root / "b"))
    assert make(place).key == make(place).key != make(ThumbnailOptions()).key
    assert make(place).exclusive_key == f"scan:{root}/"
    assert make(place).place == paths.display(os.fsencode(root / "b"))
    assert make(ThumbnailOptions()).exclusive_key == "scan:/"
