"""Taking a port, and an application that does not start."""

import errno
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stoat_ferret.cli import serve
from stoat_ferret.errors import ConfigurationError, StorageBusyError
from stoat_ferret.settings import Settings


def test_port_0_picks_one_that_answers_at_once() -> None:
    """Nobody who asks between the choice and the first answer is turned away."""
    with serve.listen("127.0.0.1", 0) as listener:
        assert serve.url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert listener.getsockname()[1] > 0


def test_an_address_of_ipv6_is_bracketed() -> None:
    """As RFC 3986 has it."""
    try:
        listener = serve.listen("[::1]", 0)
    except ConfigurationError:
        pytest.skip("there is no IPv6 here")
    with listener:
        assert serve.url_of(listener).startswith("http://[::1]:")


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    """Perhaps it is the server that is looked for."""
    with serve.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port} on 127.0.0.1 is in use.*--port 0"):
            serve.listen("127.0.0.1", port)


def test_an_address_of_another_machine() -> None:
    """It cannot be listened on."""
    with pytest.raises(ConfigurationError, match=r"Cannot listen on 192\.0\.2\.1"):
        serve.listen("192.0.2.1", 0)


def test_a_name_that_is_none() -> None:
    """It is not known."""
    with pytest.raises(ConfigurationError, match="is not known"):
        serve.listen("no such host.invalid", 0)


def test_a_port_that_needs_privileges() -> None:
    """It is said which do not."""
    assert "above 1023" in serve._why_not("127.0.0.1", 80, PermissionError(errno.EACCES, "Permission denied"))


@pytest.fixture
def signals() -> Iterator[None]:
    """Leave the test run's signals as they are."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(("raised", "seen"), [(StorageBusyError(), StorageBusyError), (None, SystemExit)])
def test_an_application_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception | None, seen: type[BaseException]
) -> None:
    """The error reaches the border of the command line, instead of a traceback in the log."""

    async def app(_scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": ""})
        if raised is not None:
            raise raised

    monkeypatch.setattr("stoat_ferret.api.app.create_app", lambda *_, **__: app)
    with serve.listen("127.0.0.1", 0) as listener, pytest.raises(seen):
        serve._run(Settings(data_dir=tmp_path), listener, [], as_json=False)
