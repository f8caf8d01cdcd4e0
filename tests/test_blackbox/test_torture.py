"""The short forms of what `make torture` does at length: killed, failing and dying, the program loses nothing."""

from pathlib import Path

import pytest

from torture import kills, probe_deaths, storage_faults, strace, worker_deaths
from torture.engines import open_engine
from torture.reckoning import Figures

SEED = 20_240_607
KILLS = 15
"""On each of the two engines."""

# Each takes a minute or two, and several times that on a machine that is busy with something else.
pytestmark = pytest.mark.timeout(900)


def check(figures: Figures) -> None:
    """Nothing was violated, and there was something that could have been."""
    assert figures.violations == []
    assert figures.acknowledged > 0
    assert figures.catalogues_compared > 0
    assert figures.videos_compared > 0


def check_kills(figures: Figures) -> None:
    """All were of server and worker; keys were used, and used again after a kill."""
    check(figures)
    assert figures.disturbances.total() == KILLS
    assert figures.disturbances.keys() <= set(kills.TARGETS)
    assert figures.besides.keys() <= {kills.PROBE}
    assert figures.keyed_submits > 0
    assert figures.keyed_repeats_after_restart > 0
    assert figures.stop_seconds


@pytest.mark.slow
def test_kills_lose_no_job_and_leave_the_catalogue_of_an_undisturbed_scan(tmp_path: Path) -> None:
    """Server, worker or both die again and again, and probe processes besides, while a client asks and files change."""
    with open_engine("sqlite") as engine:
        figures = kills.torture(engine, tmp_path, kills=KILLS, seed=SEED, files=250, kills_a_checkpoint=8)
    check_kills(figures)


@pytest.mark.slow
@pytest.mark.postgres
def test_kills_with_two_workers_on_postgres_lose_nothing_either(tmp_path: Path) -> None:
    """The same with `stoat worker` beside the server, both of them targets."""
    with open_engine("postgres") as engine:
        figures = kills.torture(engine, tmp_path, kills=KILLS, seed=SEED, files=250, workers=2, kills_a_checkpoint=8)
    check_kills(figures)


@pytest.mark.slow
@pytest.mark.skipif(strace.available() is not None, reason=f"nothing can be made to fail here: {strace.available()}")
def test_a_dozen_storage_faults_are_said_plainly_and_lose_nothing(tmp_path: Path) -> None:
    """Full disk, failed writes, syncs and reads: a problem with a code each time, and all is well afterwards."""
    with open_engine("sqlite") as engine:
        figures = storage_faults.torture(engine, tmp_path, faults=12, seed=SEED, files=300, episodes_a_checkpoint=12)
    check(figures)
    assert figures.disturbances.total() >= 12


@pytest.mark.slow
def test_every_file_is_accounted_for_though_workers_and_probe_processes_die(tmp_path: Path) -> None:
    """Killed, crashed, stopped for good, out of memory: each file has one outcome, and the right one."""
    with open_engine("sqlite") as engine:
        figures = worker_deaths.torture(engine, tmp_path, deaths=10, seed=SEED, files=400, scans_a_checkpoint=2)
    check(figures)
    assert figures.disturbances.total() >= 10


@pytest.mark.slow
def test_a_pool_loses_no_file_with_its_processes(tmp_path: Path) -> None:
    """Each comes back once, as without any death or set aside."""
    figures = probe_deaths.torture(tmp_path, deaths=30, seed=SEED, files=60)
    assert figures["violations"] == []
    assert sum(figures["deaths"].values()) == 30
    assert figures["restarts"] >= 25  # of the last, the pool may not have heard
    assert figures["examined"] > 0
