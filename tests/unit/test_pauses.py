"""Garbage collection rests while a command loads, and not for longer."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoat_ferret.cli.session import opened
from stoat_ferret.pauses import load_quickly
from tests.factories import make_settings


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_it_rests_until_the_data_are_open(tmp_path: Path) -> None:
    """What is loaded by then is never looked at again."""
    load_quickly()
    assert not gc.isenabled()
    with opened(make_settings(tmp_path), create=True):
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
