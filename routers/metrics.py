"""Metrics for Prometheus."""

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from routers.dependencies import TheServices, require_metrics_token

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, dependencies=[Depends(require_metrics_token)])
async def metrics(services: TheServices) -> Response:
    """The figures of this process in the text format of Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
