"""`GET /metrics`, for Prometheus and what reads its formats."""

import time

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from stoat_ferret.api.dependencies import JobsDep, StreamsDep
from stoat_ferret.api.metrics import Numbers
from stoat_ferret.api.problems import reading

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="The program in numbers",
    response_class=Response,
    responses={
        **reading(),
        200: {
            "description": "Prometheus' text format; OpenMetrics where `Accept` asks for it.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "stoat_workers_alive 1.0\n"}},
        },
    },
)
async def metrics(request: Request, jobs: JobsDep, streams: StreamsDep) -> Response:
    """Give counts of jobs by type and state, how long the queue is, workers, durations of probes, open streams.

    What is counted up is kept with the jobs: it survives restarts, and every server of one library gives the same.
    """
    numbers = Numbers(
        queue=await jobs.statistics(),
        now=time.time_ns() // 1_000,
        workers_alive=len(await jobs.live_workers()),
        event_streams=streams.open,
    )
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(numbers.registry()), headers={"Content-Type": media_type, "Vary": "Accept"})
