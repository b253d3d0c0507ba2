"""Health for machines that watch the service."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from app.models import HealthStatus, ServiceHealth
from routers.dependencies import TheServices

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(services: TheServices, response: Response) -> dict[str, Any]:
    """Whether calls may come: not while the service stops, nor without its storage."""
    status = await services.health.status()
    draining = services.dispatcher.is_draining
    if draining or status.status == "failed":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": "draining" if draining else status.status, "live_calls": services.dispatcher.live_calls}


@router.get("")
async def health(services: TheServices) -> dict[str, Any]:
    """Every component as it was last seen."""
    return {**_shown(await services.health.status()), "version": services.version}


def _shown(status: HealthStatus) -> dict[str, Any]:
    return {"status": status.status, "components": [_component(item) for item in status.components]}


def _component(item: ServiceHealth) -> dict[str, Any]:
    return {
        "name": item.name,
        "status": item.status,
        "latency": item.latency,
        "last_success": item.last_success.isoformat() if item.last_success else None,
        "breaker": item.breaker,
        "detail": item.detail,
    }
