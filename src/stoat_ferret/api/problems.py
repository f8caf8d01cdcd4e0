"""Every error as an RFC 9457 problem: one table from exceptions to statuses."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from stoat_ferret import errors
from stoat_ferret.api.schemas.problem import Problem

MEDIA_TYPE = "application/problem+json"

STATUSES: tuple[tuple[type[errors.StoatError], int], ...] = (
    (errors.PathNotAllowedError, 403),
    (errors.PathNotReadableError, 403),
    (errors.PathTimeoutError, 503),
    (errors.PathError, 400),
    (errors.InvalidQueryError, 400),
    (errors.ChangesCompactedError, 410),
    (errors.PreconditionFailedError, 412),
    (errors.NotSupportedError, 400),
    (errors.NotFoundError, 404),
    (errors.ConflictError, 409),
    (errors.InvalidIdempotencyKeyError, 400),
    (errors.IdempotencyKeyReusedError, 422),
    (errors.TooManyStreamsError, 503),
    (errors.MediaError, 503),
    (errors.StorageFullError, 507),
    (errors.StorageError, 503),
    (errors.StoatError, 500),
)
"""The first row that fits decides."""

RETRY_AFTER = {503: "1", 507: "30"}
"""Seconds after which it may be worth trying again, by status."""

HTTP_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 406: "NOT_ACCEPTABLE", 413: "BODY_TOO_LARGE"}

UNREADABLE_BODY = "There was an error parsing the body"
"""What FastAPI says, with 400, of bodies that its JSON parser gives up on, other than by a mere syntax error."""

MAX_BODY_BYTES = 1 << 20

MOST_SHOWN = 200
"""Characters of a wrong value that are given back."""

MOST_EXACT = 2**53
"""The largest integer that every JSON parser reads exactly."""

log = structlog.get_logger(__name__)


def problem_response(
    instance: str,
    status: int,
    code: str,
    detail: str,
    *,
    fields: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Build the answer to a request that failed."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
    }
    if fields is not None:
        body["errors"] = fields
    more = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}
    return JSONResponse(body, status, headers={**more, **(headers or {})}, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe, for OpenAPI, the problems that a route answers with."""
    return {
        int(status): {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def reading(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `responses`, of a route that reads a database: which may be locked or away."""
    return responses(*statuses, HTTPStatus.SERVICE_UNAVAILABLE)


def writing(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As `responses`, of a route that writes a database: for which there may also be no room."""
    return responses(*statuses, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE)


def _status_of(error: errors.StoatError) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


async def _on_stoat_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.StoatError)  # noqa: S101  # registered for nothing else
    status = _status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", path=request.url.path, code=error.code, detail=error.message)
    return problem_response(request.url.path, status, error.code, error.message)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for nothing else
    if not _is_json(request) and any(problem["loc"] == ("body",) for problem in error.errors()):
        message = "Send it as JSON, with the header Content-Type: application/json."
        return _wrong_shape(request, [{"field": "body", "message": message, "value": None}])
    return _wrong_shape(
        request,
        [
            {
                "field": _sendable(".".join(str(part) for part in problem["loc"])),
                "message": _sendable(errors.plain_message(problem["msg"])),
                "value": _shown(problem.get("input")),
            }
            for problem in error.errors()
        ],
    )


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _wrong_shape(request: Request, fields: list[dict[str, Any]]) -> JSONResponse:
    detail = "The request is not of the right shape: " + "; ".join(f"{f['field']}: {f['message']}" for f in fields)
    return problem_response(request.url.path, 422, "VALIDATION_ERROR", detail, fields=fields)


def _sendable(text: str) -> str:
    """Replace what JSON can say and UTF-8 cannot: halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()[:MOST_SHOWN]


def _shown(value: object) -> object:
    """Give a value back to whoever sent it; of what is large, deep or not JSON, only what it is."""
    match value:
        case None | bool():
            return value
        case str() | int() | float():
            return value if _plain(value) else _sendable(str(value))
        case bytes():
            return value[:MOST_SHOWN].decode("utf-8", "replace")
        case dict():
            return "(an object)"
    return "(a list)"


def _plain(value: str | float) -> bool:
    return isinstance(value, int | float) and -MOST_EXACT <= value <= MOST_EXACT


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    code = HTTP_CODES.get(error.status_code, HTTPStatus(error.status_code).name)
    detail, headers = str(error.detail), dict(error.headers or {})
    if detail == UNREADABLE_BODY:
        return _wrong_shape(request, [{"field": "body", "message": "It is not JSON in UTF-8.", "value": None}])
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"There is nothing at {request.url.path}. GET /openapi.json lists what there is."
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = f"The body is too large; at most {MAX_BODY_BYTES} bytes are taken."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.get("Allow", "another method")
        detail = f"{request.method} is not possible at {request.url.path}. Use {allowed}."
        if "GET" in allowed.split(", "):
            headers["Allow"] = f"{allowed}, HEAD"
    return problem_response(request.url.path, error.status_code, code, detail, headers=headers)


async def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", path=request.url.path, method=request.method, exc_info=error)
    detail = "Something unexpected went wrong; the server's log has the details. Trying again may help."
    return problem_response(request.url.path, 500, "INTERNAL_ERROR", detail)


def register(app: FastAPI) -> None:
    """Make the application answer every error with a problem, and its OpenAPI document describe one."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        # Named as a route's `model`, it would be listed as application/json too, which is never sent.
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"].update({**problem.pop("$defs"), "Problem": problem})
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    app.add_exception_handler(errors.StoatError, _on_stoat_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)
