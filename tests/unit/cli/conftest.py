"""What the tests of the command line run with."""

import os

import pytest


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the test run's logging as it is, and take no setting from outside."""
    monkeypatch.setattr("stoat_ferret.log.configure_logging", lambda _settings: None)
    for name in [name for name in os.environ if name.startswith("STOAT_")]:
        monkeypatch.delenv(name)
