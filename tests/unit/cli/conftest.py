"""What the tests of the command line run with."""

import os

import pytest


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no setting from outside."""
    for name in [name for name in os.environ if name.startswith("STOAT_")]:
        monkeypatch.delenv(name)
