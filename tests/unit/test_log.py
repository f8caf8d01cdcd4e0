"""Logging: to standard error, in one format."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from stoat_ferret.log import configure_logging
from tests.factories import make_settings


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_hold_event_level_time_and_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception is told in a field of the same line, and what libraries warn of comes in the same shape."""
    configure_logging(make_settings(tmp_path, log_format="json"))
    with structlog.contextvars.bound_contextvars(job_id="j"):
        structlog.get_logger().info("stored", count=3)
    try:
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger().exception("failed")
    logging.getLogger("some.library").warning("careful: %s", "sharp")
    logging.getLogger("some.library").info("not shown")
    captured = capsys.readouterr()
    assert captured.out == ""
    stored, failed, careful = map(json.loads, captured.err.splitlines())
    assert (stored["event"], stored["level"], stored["count"], stored["job_id"]) == ("stored", "info", 3, "j")
    assert stored["timestamp"].endswith("Z")
    assert "ValueError: bad" in failed["exception"]
    assert (careful["event"], careful["level"]) == ("careful: sharp", "warning")


def test_a_library_s_exception_is_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line can be read by a program."""
    configure_logging(make_settings(tmp_path, log_format="json"))
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("some.library").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: bad" in json.loads(line)["exception"]


def test_what_is_less_severe_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the format for people as well."""
    configure_logging(make_settings(tmp_path, log_level="warning"))
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud", path="/v")
    error = capsys.readouterr().err
    assert "quiet" not in error
    assert "loud" in error
    assert "/v" in error
