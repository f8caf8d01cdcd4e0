"""HEAD, wherever there is a GET: the same answer without its body (RFC 9110, 9.3.2)."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadLikeGet:
    """ASGI middleware: a HEAD is answered as the GET would be, and the body is dropped.

    Once the head is sent, whoever streams a body is told that the client has gone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as a GET, and the head of its answer back."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)
            answered.set()

        async def receive_until_answered() -> Message:
            return await _first(receive, answered)

        await self._app({**scope, "method": "GET"}, receive_until_answered, send_head)


async def _first(receive: Receive, answered: asyncio.Event) -> Message:
    if answered.is_set():
        return {"type": "http.disconnect"}
    coming = asyncio.ensure_future(receive())
    done = asyncio.create_task(answered.wait())
    try:
        await asyncio.wait({coming, done}, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else {"type": "http.disconnect"}
    finally:
        coming.cancel()
        done.cancel()
