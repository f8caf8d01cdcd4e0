"""How long examining files takes, counted."""

from pathlib import Path

import pytest

from stoat_ferret.media.disk_limits import DiskLimits
from stoat_ferret.media.pool import ProbeOutcome, ProbeTask
from stoat_ferret.media.tally import BOUNDS, ProbeTally, TalliedPool
from tests.media_files import place_clip


def test_each_duration_falls_into_one_bucket() -> None:
    """Whose bound it does not exceed; what is longer than all of them into the last."""
    tally = ProbeTally()
    for seconds in (0.0001, 0.001, 0.002, 30.0, 31.0):
        tally.add(seconds)
    numbers = tally.take()
    assert numbers.pop("probe_seconds_sum") == pytest.approx(61.0031)
    assert numbers == {
        "probe_seconds_bucket:0.001": 2,
        "probe_seconds_bucket:0.0025": 1,
        "probe_seconds_bucket:30": 1,
        "probe_seconds_bucket:+Inf": 1,
        "probe_seconds_count": 5,
    }
    assert tally.take() == {}


def test_every_bound_is_written_so_that_it_can_be_read() -> None:
    """A bucket of its own for each."""
    tally = ProbeTally()
    for bound in BOUNDS:
        tally.add(bound)
    names = {name.partition(":")[2] for name in tally.take() if ":" in name}
    assert {float(name) for name in names} == set(BOUNDS)


def test_a_pool_counts_what_it_examines(tmp_path: Path) -> None:
    """Good files and bad ones; each once."""
    place_clip(tmp_path / "good.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    tally = ProbeTally()
    with TalliedPool(tally, DiskLimits(), workers=1) as pool:
        for key, name in enumerate(("good.mp4", "bad.mp4")):
            pool.submit(ProbeTask(key, bytes(tmp_path / name)))
        outcomes: list[ProbeOutcome] = []
        while len(outcomes) < 2:
            outcomes += pool.wait(60)
    assert tally.take()["probe_seconds_count"] == 2


def test_a_pool_takes_nothing_on_while_too_much_was_read(tmp_path: Path) -> None:
    """Over all pools that share the limits; what was taken on is done meanwhile."""
    now = 0.0
    limits = DiskLimits(1000.0, clock=lambda: now)
    place_clip(tmp_path / "a.mp4")
    with TalliedPool(ProbeTally(), limits, workers=1) as one, TalliedPool(ProbeTally(), limits, workers=1) as other:
        one.submit(ProbeTask(1, bytes(tmp_path / "a.mp4")))
        outcomes: list[ProbeOutcome] = []
        while not outcomes:
            outcomes = one.wait(1.0)
        assert outcomes[0].bytes_read > 0
        assert (one.room, other.room) == (0, 0)
        now = outcomes[0].bytes_read / 1000.0
        assert one.room > 0
        assert other.room > 0


def test_only_so_many_files_of_a_device_are_in_hand(tmp_path: Path) -> None:
    """Over all pools that share the limits; of other devices as many as ever; a pool that is closed has none."""
    limits = DiskLimits(files_per_device=2)
    place_clip(tmp_path / "a.mp4")
    path = bytes(tmp_path / "a.mp4")
    with TalliedPool(ProbeTally(), limits, workers=1) as one, TalliedPool(ProbeTally(), limits, workers=1) as other:
        one.submit(ProbeTask(1, path, device=7))
        assert one.takes(7)
        other.submit(ProbeTask(1, path, device=7))
        assert (one.takes(7), other.takes(7)) == (False, False)
        assert (one.takes(8), other.takes(8)) == (True, True)
        while not one.wait(1.0):
            pass
        assert (one.takes(7), other.takes(7)) == (True, True)
        one.submit(ProbeTask(2, path, device=7))
        assert not one.takes(7)
        other.close()
        assert one.takes(7)
        assert not other.takes(8)
