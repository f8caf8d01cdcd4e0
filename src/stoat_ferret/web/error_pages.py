"""Errors of pages as pages: the problem document that a program would get, put into a person's words and shape."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from stoat_ferret.errors import StoatError
from stoat_ferret.web.render import render

Handler = Callable[[Request, Any], Awaitable[Response]]

FOR_PROGRAMS = ("/api/", "/health/", "/metrics", "/openapi.json", "/static/")
"""Paths that answer with problem documents, whoever asks."""

HEADINGS = {404: "There is nothing here", 400: "That cannot be looked up"}


def prefers_html(request: Request) -> bool:
    """Tell whether a person's browser asks for a page."""
    accepted = [part.split(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    return "text/html" in accepted and not request.url.path.startswith(FOR_PROGRAMS)


def register(app: FastAPI) -> None:
    """Make pages out of the problems that the application's handlers answer with, where a page was asked for."""
    for kind in (StoatError, RequestValidationError, HTTPException, Exception):
        answer = cast(Handler, app.exception_handlers[kind])  # those of api.problems are all coroutine functions
        app.add_exception_handler(kind, _with_page(answer))


def _with_page(answer: Handler) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        response = await answer(request, error)
        if not prefers_html(request):
            return response
        problem = json.loads(bytes(response.body))
        if problem["code"] == "NOT_FOUND":
            problem["detail"] = f"There is no page at {request.url.path}."
        heading = HEADINGS.get(problem["status"], problem["title"])
        page = render("error.html", status=problem["status"], heading=heading, problem=problem)
        for name in ("allow", "retry-after"):
            if name in response.headers:
                page.headers[name] = response.headers[name]
        return page

    return handle
