"""Who may call, while only this machine may: the Host header, and where a write comes from.

A page on the web can make a browser send requests to loopback addresses. It cannot hide its Origin, and it cannot make
the browser send a loopback Host for a name of its own that it points at 127.0.0.1 (DNS rebinding).
"""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from stoat_ferret.api.problems import MAX_BODY_BYTES, problem_response
from stoat_ferret.errors import UnsafeBindError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TRUSTED_FETCH_SITES = frozenset({"same-origin", "none"})


def is_loopback(host: str) -> bool:
    """Tell whether a host, without a port, names this machine's loopback interface."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def require_loopback(host: str) -> None:
    """Refuse to listen where others could reach the server.

    Raises:
        UnsafeBindError: the address is not a loopback one.
    """
    if not is_loopback(host):
        msg = (
            f"Refusing to listen on {host}: there is no way yet to tell callers apart, so only this machine may call. "
            "Use 127.0.0.1, and a reverse proxy that checks who calls if others need access."
        )
        raise UnsafeBindError(msg)


class LocalCallersOnly:
    """ASGI middleware: 421 for a foreign Host, 403 for a write from a foreign page, 413 for a huge body."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            refused = self._refusal(Headers(scope=scope), scope["method"])
            if refused is not None:
                status, code, detail = refused
                await problem_response(scope["path"], status, code, detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: Headers, method: str) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        name = _hostname(host)
        if not (is_loopback(name) or name in self._allowed):
            return 421, "HOST_NOT_ALLOWED", f"The Host {host!r} is not this server's. Add it to STOAT_ALLOWED_HOSTS."
        if method not in SAFE_METHODS and not _from_here(headers, host):
            return 403, "FOREIGN_ORIGIN", "Another site's page may not change anything here. Call without a browser."
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY_BYTES:  # one without a length is cut off while it is read
            return 413, "BODY_TOO_LARGE", f"The body has {length} bytes; at most {MAX_BODY_BYTES} are taken."
        return None


def _hostname(host: str) -> str:
    if "@" in host:
        return ""  # user information has no place in a Host
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _from_here(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None and site not in TRUSTED_FETCH_SITES:
        return False
    origin = headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
