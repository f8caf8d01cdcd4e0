"""Asynchronous tests run on asyncio."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Name the backend for anyio's plugin."""
    return "asyncio"
