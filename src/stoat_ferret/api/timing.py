"""How long each answer took, said to whoever asks."""

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ServerTiming:
    """ASGI middleware: a `Server-Timing` header (W3C) with the milliseconds from the request to its answer's start."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and the answer back."""
        started = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                taken = (time.perf_counter() - started) * 1_000
                MutableHeaders(scope=message)["Server-Timing"] = f"app;dur={taken:.2f}"
            await send(message)

        await self._app(scope, receive, timed)
