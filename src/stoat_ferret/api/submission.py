"""What requests that begin a job have in common: being sent twice, and waiting for the job's end in the same answer.

`Idempotency-Key` is that of the IETF's draft-ietf-httpapi-idempotency-key-header; `Prefer: wait` is that of RFC 7240.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from stoat_ferret.api.dependencies import FeedDep, JobsDep
from stoat_ferret.api.schemas.job import JobStatusResponse
from stoat_ferret.errors import InvalidIdempotencyKeyError
from stoat_ferret.jobs.feed import JobFeed
from stoat_ferret.jobs.model import Job, OnceKey, Submission
from stoat_ferret.jobs.queue import AsyncJobQueue

CALLER = "local"
"""Whose keys they are: there is one caller, as long as only this machine may call."""
MOST_KEY = 255
MOST_WAIT_SECONDS = 60
RETRY_AFTER_SECONDS = "1"

_PRINTABLE = re.compile(r"[ -~]+")
_WAIT = re.compile(r"""wait\s*=\s*(?:(\d{1,9})|"(\d{1,9})")""", re.ASCII | re.IGNORECASE)

SUBMITTED: dict[str, Any] = {
    "headers": {
        "Location": {"description": "The job.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds until asking again.", "schema": {"type": "integer"}},
        "Idempotency-Replayed": {
            "description": "`true` where the request had been sent before, and this is what came of it then.",
            "schema": {"type": "string"},
        },
        "Preference-Applied": {"description": "The `wait` that was heeded.", "schema": {"type": "string"}},
    }
}
"""What OpenAPI says of an answer that names a job which goes on."""
ENDED: dict[str, Any] = {
    "model": JobStatusResponse,
    "description": "The job has ended within the time that `Prefer: wait` gave it.",
    "headers": {name: SUBMITTED["headers"][name] for name in SUBMITTED["headers"] if name != "Retry-After"},
}
"""What OpenAPI says of an answer that carries a job's end."""


async def _idempotency_key(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Makes it safe to send the request again: under the same key it is done once, and every answer "
            "names the same job, also after a restart. 1 to 255 printable ASCII characters, a new one for each thing "
            "that is to be done; kept as long as the job.",
            json_schema_extra={"minLength": 1, "maxLength": MOST_KEY, "pattern": "^[ -~]+$"},
        ),
    ] = None,
) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1:
        raise InvalidIdempotencyKeyError("The request has more than one Idempotency-Key. Send one.")
    [key] = given
    if not _PRINTABLE.fullmatch(key) or len(key) > MOST_KEY:
        msg = f"The Idempotency-Key has to be 1 to {MOST_KEY} printable ASCII characters, for example a UUID."
        raise InvalidIdempotencyKeyError(msg)
    return key


async def _preferred_wait(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description=f"`wait=N` waits up to N seconds, {MOST_WAIT_SECONDS} at most, for the job's end, and then "
            "answers 200 with its record. Other preferences are ignored.",
            examples=["wait=10"],
        ),
    ] = None,
) -> int | None:
    return preferred_wait(", ".join(request.headers.getlist("prefer")))


def preferred_wait(prefer: str) -> int | None:
    """Give the seconds that a client would wait, 60 at most; None where it does not say so in whole seconds.

    The first `wait` counts (RFC 7240, 2).
    """
    for preference in prefer.split(","):
        wish = preference.partition(";")[0].strip()
        if wish.partition("=")[0].strip().lower() == "wait":
            found = _WAIT.fullmatch(wish)
            return None if found is None else min(int(found[1] or found[2]), MOST_WAIT_SECONDS)
    return None


@dataclass(frozen=True, slots=True)
class Submitting:
    """One request that begins a job."""

    response: Response
    """Its headers are those of the answer that the route goes on to give."""
    queue: AsyncJobQueue
    feed: JobFeed
    key: str | None
    wait_seconds: int | None

    async def __call__(
        self, route: str, asked: dict[str, Any], submit: Callable[[OnceKey | None], Awaitable[Submission]]
    ) -> tuple[Job, Response | None]:
        """Submit, or recall what came of it when it was sent before, and wait if that was preferred.

        Gives the job, and the answer where the job has ended by then; else the route answers.

        Args:
            route: the method and path, a key being good for one only.
            asked: all that was asked for, as plain JSON values.
            submit: makes and submits the job; not called where it is recalled.
        """
        job, replayed = await self._submit(route, asked, submit)
        headers = {"Location": f"/api/v1/jobs/{job.id}"}
        if replayed:
            headers["Idempotency-Replayed"] = "true"
        if self.wait_seconds is not None:
            headers["Preference-Applied"] = f"wait={self.wait_seconds}"
            job = await self.feed.wait(job.id, self.wait_seconds)
            if job.status.terminal:
                return job, JSONResponse(JobStatusResponse.of(job).model_dump(mode="json"), headers=headers)
        self.response.headers.update({**headers, "Retry-After": RETRY_AFTER_SECONDS})
        return job, None

    async def _submit(
        self, route: str, asked: dict[str, Any], submit: Callable[[OnceKey | None], Awaitable[Submission]]
    ) -> tuple[Job, bool]:
        once = None
        if self.key is not None:
            once = OnceKey(scope=f"{CALLER} {route}", key=self.key, fingerprint=_fingerprint(asked))
            # Before anything is looked at: what was answered once is answered again, whatever has changed since.
            earlier = await self.queue.recall(once)
            if earlier is not None:
                return earlier, True
        submission = await submit(once)
        return submission.job, submission.replayed


def _fingerprint(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


async def _submitting(
    response: Response,
    queue: JobsDep,
    feed: FeedDep,
    key: Annotated[str | None, Depends(_idempotency_key)],
    wait_seconds: Annotated[int | None, Depends(_preferred_wait)],
) -> Submitting:
    return Submitting(response, queue, feed, key, wait_seconds)


SubmittingDep = Annotated[Submitting, Depends(_submitting)]
