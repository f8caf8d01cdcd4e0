"""Servers that are stopped when a test ends, however it ends."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_blackbox.program import Program

Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers; each gets the data directory `tmp_path/data` unless another is named."""
    running: list[Program] = []

    def _start(*arguments: str, data: str = "data", **more: Any) -> Program:
        program = Program(tmp_path / data, *arguments, **more)
        running.append(program)
        return program

    yield _start
    for program in running:
        if program.process.poll() is None:
            program.stop()


@pytest.fixture
def program(start: Start) -> Program:
    """A running server with an empty data directory."""
    return start()
