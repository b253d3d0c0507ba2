"""Metrics for Prometheus."""

import asyncio

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from routers.dependencies import TheServices, require_metrics_token

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, dependencies=[Depends(require_metrics_token)])
async def get_metrics(services: TheServices) -> Response:
    """The figures of all workers in the text format of Prometheus."""
    return Response(await asyncio.to_thread(services.metrics.exposition), media_type=CONTENT_TYPE_LATEST)
