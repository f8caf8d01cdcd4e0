"""How many files a scan will meet."""

import threading
import time
from pathlib import Path

import pytest

from stoat_ferret.library.repository import new_library
from stoat_ferret.scan import estimate
from stoat_ferret.scan.estimate import Estimate
from stoat_ferret.scan.rules import Rules
from stoat_ferret.scan.scope import Target
from stoat_ferret.scan.walk import count_files
from tests.factories import put

RULES = Rules(["mp4"])


def target(folder: Path) -> Target:
    return Target(library=new_library(bytes(folder), 0.5), start=bytes(folder), exclude=frozenset())


def test_a_known_place_is_not_listed_for_the_estimate(tmp_path: Path) -> None:
    """What is known is the estimate."""
    with Estimate(target(tmp_path / "nothing"), RULES, recursive=True, known=7) as expected:
        assert expected.total(3) == 7
        assert expected.total(7) == 7


def test_a_place_that_has_grown_is_counted(tmp_path: Path) -> None:
    """Once more is met than was known, that is no estimate any longer; the count takes its place."""
    for number in range(5):
        put(tmp_path / f"{number}.mp4")
    with Estimate(target(tmp_path), RULES, recursive=True, known=2) as expected:
        assert expected.total(2) == 2
        while (total := expected.total(3)) is None:
            time.sleep(0.001)
        assert total == 5


def test_a_new_place_is_counted_beside_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until that is done, the total is not known."""
    put(tmp_path / "a.mp4")
    put(tmp_path / "b" / "c.mp4")
    may_count, counted = threading.Event(), threading.Event()

    def count(*arguments: object, **options: object) -> int:
        assert may_count.wait(10)
        number = count_files(*arguments, **options)  # type: ignore[arg-type]  # handed on as they come
        counted.set()
        return number

    monkeypatch.setattr(estimate, "count_files", count)
    expected = Estimate(target(tmp_path), RULES, recursive=True, known=0)
    with expected:
        assert expected.total(0) is None
        may_count.set()
        assert counted.wait(10)
    assert expected.total(0) == 2
