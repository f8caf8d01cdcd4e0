"""The scan as a job: what is checked, what is put on the queue."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoat_ferret.api.app import create_app
from stoat_ferret.api.services.scan import exclusive_key, scan_options, scan_request, validate_scan_path
from stoat_ferret.errors import InvalidPathError, PathTimeoutError
from stoat_ferret.library.models import Library
from stoat_ferret.library.repository import LibraryRepository
from stoat_ferret.scan.scope import ScanOptions
from stoat_ferret.settings import Settings
from tests.factories import Stage, put

options = st.builds(
    ScanOptions,
    path=st.binary(min_size=1).map(lambda path: b"/" + path),
    recursive=st.booleans(),
    force=st.booleans(),
    accept_loss=st.booleans(),
    dry_run=st.booleans(),
)


class NoLibraries(LibraryRepository):
    """A catalogue without libraries."""

    def __init__(self) -> None:
        pass

    def covering_libraries(self, path: bytes) -> list[Library]:
        return []


@given(options, options)
def test_a_request_carries_all_that_was_asked_for(one: ScanOptions, other: ScanOptions) -> None:
    """Through plain JSON; equal scans, and only those, have equal keys."""
    requests = [scan_request(asked, NoLibraries()) for asked in (one, other)]
    assert scan_options(requests[0].payload) == one
    assert (requests[0].key == requests[1].key) == (one == other)


def test_scans_of_one_library_exclude_each_other(stage: Stage, tmp_path: Path) -> None:
    """Of the whole and of parts."""
    put(tmp_path / "v" / "a" / "x.mp4")
    stage.scan(tmp_path / "v")
    keys = {
        scan_request(ScanOptions(path=bytes(path)), stage.repository).exclusive_key
        for path in (tmp_path / "v", tmp_path / "v" / "a", tmp_path / "v" / "gone")
    }
    (key,) = keys
    above = scan_request(ScanOptions(path=bytes(tmp_path)), stage.repository).exclusive_key
    beside = scan_request(ScanOptions(path=bytes(tmp_path / "vv")), stage.repository).exclusive_key
    assert key is not None
    assert above is not None
    assert beside is not None
    assert key.startswith(above)
    assert not beside.startswith(key)


def test_a_key_is_never_too_long_for_an_index() -> None:
    """That of a folder further up stands for it, which excludes more."""
    deep = b"/v" + b"/\xff\xfe" * 700
    key = exclusive_key(deep)
    assert len(key.encode()) < 2_704
    assert exclusive_key(deep + b"/below").startswith(key)
    assert key.startswith(exclusive_key(b"/v"))
    assert exclusive_key(b"/") == "scan:/"


def test_a_disk_that_fails_is_said_to(
    settings: Settings, repository: LibraryRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the system's own words."""

    def stat(path: Any, **_options: Any) -> os.stat_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(InvalidPathError, match="Input/output error"):
        asyncio.run(validate_scan_path(bytes(tmp_path), settings, repository))


def test_what_goes_wrong_late_troubles_nobody(
    settings: Settings, repository: LibraryRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The check of a hung disk fails after everybody stopped waiting."""
    released, ended = threading.Event(), threading.Event()

    def check(*_arguments: object) -> bytes:
        assert released.wait(10)
        ended.set()
        raise RuntimeError

    monkeypatch.setattr("stoat_ferret.api.services.scan._check", check)
    hasty = settings.model_copy(update={"path_timeout_seconds": 0.01})

    async def give_up() -> None:
        with pytest.raises(PathTimeoutError, match=r"did not answer within 0\.01 s"):
            await validate_scan_path(bytes(tmp_path), hasty, repository)
        released.set()
        await asyncio.to_thread(ended.wait, 10)
        await asyncio.sleep(0)

    asyncio.run(give_up())
    assert ended.is_set()


def test_folders_are_scanned_at_the_start(settings: Settings, tmp_path: Path) -> None:
    """Those that the command line names."""
    put(tmp_path / "v" / "a.txt")
    app = create_app(settings, in_memory_jobs=True, scan_at_start=[bytes(tmp_path / "v")])

    async def start() -> list[str]:
        async with app.router.lifespan_context(app) as state:
            assert state is not None
            page = await state["runtime"].queue.list()
            return [job.payload["path"] for job in page.jobs]

    assert asyncio.run(start()) == [str(tmp_path / "v")]
