"""Metrics for Prometheus."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from routers.dependencies import require_metrics_token
from routers.pacing import OneAtATime
from routers.query_parameters import KNOWN_PARAMETERS

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, dependencies=[Depends(require_metrics_token), KNOWN_PARAMETERS])
async def get_metrics(request: Request) -> Response:
    """The metrics of all workers in the Prometheus text format."""
    exposition: OneAtATime[bytes] = request.app.state.exposition
    return Response(await exposition.get(), media_type=CONTENT_TYPE_LATEST)
