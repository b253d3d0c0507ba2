"""Health for machines that watch the service."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from app.errors import StorageError
from app.models import HealthStatus, ServiceHealth
from app.wiring import Services
from routers.dependencies import TheServices

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def check_live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/ready")
async def check_ready(services: TheServices, response: Response) -> dict[str, Any]:
    """Whether calls may come, and how many all workers carry: not while the service stops, nor without its storage."""
    status = await services.health.status()
    draining = services.dispatcher.is_draining
    if draining or status.status == "failed":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": "draining" if draining else status.status, "live_calls": await _live_calls(services)}


@router.get("")
async def get_health(services: TheServices) -> dict[str, Any]:
    """Every component as it was last seen."""
    return {**_shown(await services.health.status()), "version": services.version}


async def _live_calls(services: Services) -> int:
    """Of all workers; of this one alone while the storage cannot say."""
    try:
        return await services.calls.count_live()
    except StorageError:
        return services.dispatcher.live_calls


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
