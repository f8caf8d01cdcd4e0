"""`stoat serve`: the library over HTTP."""

import asyncio
import errno
import json
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoat_ferret.cli import output
from stoat_ferret.cli.exits import ExitStatus
from stoat_ferret.cli.options import AsJson, DatabaseUrl, DataDir, LogLevelOption, help_text, path_argument
from stoat_ferret.cli.session import data_place, opened, refuse_unsafe_media
from stoat_ferret.cli.text import absolute_path, clean, clean_path
from stoat_ferret.errors import ConfigurationError

if TYPE_CHECKING:
    from stoat_ferret.api.changes import ChangeFeed
    from stoat_ferret.jobs.feed import JobFeed
    from stoat_ferret.settings import Settings

BACKLOG = 2048
CONNECTION_SECONDS = 2
"""What open connections get to end once the server has to."""

HELP = help_text(
    "Serve the library over HTTP, to this machine only.",
    "Prints `listening on http://HOST:PORT` when it takes requests, then where the page, the API's documentation and "
    "the data are. Each FOLDER is scanned at the start. Runs jobs in a process beside it. Ctrl-C or SIGTERM ends it in "
    "good order; jobs that are not done go on at the next start. --log-level debug also logs every request.",
    examples="stoat serve ~/Videos\nstoat serve --port 0 --data-dir /srv/stoat\n"
    "stoat serve --database-url postgresql://stoat@localhost/stoat",
    related="stoat scan, stoat doctor",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=HELP, short_help="Serve the library over HTTP.")(serve)


def serve(
    folders: Annotated[
        list[Path] | None,
        path_argument("[FOLDER]...", "Folders to scan first."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Loopback address to listen on. Default: STOAT_HOST, else 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port; 0 picks a free one. Default: STOAT_PORT, else 8765."
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    log_level: LogLevelOption = None,
) -> ExitStatus:
    """Serve."""
    from stoat_ferret.api.security import require_loopback
    from stoat_ferret.settings import load_settings

    log_format = "json" if as_json else None
    settings = load_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        log_level=log_level,
        log_format=log_format,
    )
    require_loopback(settings.host)
    with listen(settings.host, settings.port) as listener:
        media = _beside(lambda: refuse_unsafe_media(settings))
        paths = _checked(settings, [absolute_path(folder) for folder in folders or []])
        media.result()
        _run(settings, listener, paths, as_json=as_json)
    return ExitStatus.OK


def _beside(function: Callable[[], None]) -> "Future[None]":
    """Do something in a thread that nobody has to wait for: where this program ends meanwhile, so does that."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            function()
            future.set_result(None)
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def listen(host: str, port: int) -> socket.socket:
    """Take the port, so that nobody else gets it and nobody who asks for it is turned away.

    Raises:
        ConfigurationError: it is taken, or may not be.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigurationError(f"The address {host} is not known: {error.strerror}. Use 127.0.0.1.") from error
    # With its protocol named: asyncio sets TCP_NODELAY only on sockets that say that they are TCP, and without it each
    # answer waits some 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use, perhaps by a stoat that runs already: look at http://{host}:{port}, "
            "or use --port 0 for a free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user. Use one above 1023, or --port 0 for a free one."
    return f"Cannot listen on {host}, port {port}: {error.strerror}. Use --host 127.0.0.1."


def url_of(listener: socket.socket) -> str:
    """Give the address at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _checked(settings: "Settings", folders: Sequence[bytes]) -> list[bytes]:
    """Make sure that the data can be used, and the folders scanned, before anything is started."""
    import stoat_ferret.api.app  # noqa: F401 - it has to be loaded anyhow; now the media libraries are so, too
    from stoat_ferret.api.services.scan import validate_scan_path

    async def check() -> list[bytes]:
        return [await validate_scan_path(folder, settings, runtime.repository) for folder in folders]

    with opened(settings, create=True) as runtime:
        return asyncio.run(check())


def _run(settings: "Settings", listener: socket.socket, folders: Sequence[bytes], *, as_json: bool) -> None:
    import uvicorn
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

    from stoat_ferret.api.app import create_app
    from stoat_ferret.pauses import spare_what_is_loaded

    app = create_app(settings, scan_at_start=folders)
    failures: list[Exception] = []

    async def remembering(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Keep why the application did not start or end: the server only logs it."""
        try:
            await app(scope, receive, send)  # type: ignore[arg-type]  # the same protocol, named by two packages
        except Exception as error:
            if scope["type"] == "lifespan":
                failures.append(error)
            raise

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            spare_what_is_loaded()
            _announce(url_of(listener), settings, folders, as_json=as_json)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Before connections are waited for.
            _end_streams(self.lifespan.state.get("feed"), self.lifespan.state.get("changes"))
            await super().shutdown(sockets)

    debug = settings.log_level == "debug"
    config = uvicorn.Config(
        remembering,
        log_config=None,
        log_level="info" if debug else "critical",
        access_log=debug,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=CONNECTION_SECONDS,
    )
    # The server ends in good order at these, then raises them again; that must not end this process with a signal.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        asyncio.run(Server(config).serve([listener]))
    except SystemExit:
        if not failures:
            raise
    if failures:
        raise failures[0]


def _end_streams(*feeds: "JobFeed | ChangeFeed | None") -> None:
    """Tell streams of events that they are to end; they never do by themselves. There are none before the start."""
    for feed in feeds:
        if feed is not None:
            feed.end()


def _announce(url: str, settings: "Settings", folders: Sequence[bytes], *, as_json: bool) -> None:
    if as_json:
        facts = {"listening": url, "page": f"{url}/", "docs": f"{url}/docs", "data": data_place(settings)}
        output.write(json.dumps({**facts, "scan": [clean_path(folder) for folder in folders]}))
        output.flush()
        return
    output.write(f"listening on {url}")
    output.write(f"  page  {url}/")
    output.write(f"  docs  {url}/docs")
    output.write(f"  data  {clean(data_place(settings))}")
    for folder in folders:
        output.write(f"  scan  {clean_path(folder)}")
    output.flush()
