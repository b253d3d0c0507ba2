"""Health for machines that watch the service: answers from what was seen last, and asks nobody."""

import asyncio
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response

from app.clock import iso_utc
from app.errors import StorageError
from app.models import ServiceHealth
from app.storage.schema import REVISION
from app.wiring import Services
from routers.dependencies import TheServices

router = APIRouter(prefix="/health", tags=["health"])

_COUNTING_SECONDS = 0.5
_NOT_READY = ("starting", "draining", "failed")


@router.get("/live")
async def check_live() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/ready")
async def check_ready(services: TheServices, response: Response) -> dict[str, Any]:
    """Whether calls may come, and how many all workers carry.

    None may while the service starts or stops, nor without its storage.
    """
    status = "draining" if services.dispatcher.is_draining else _status(services)
    if status in _NOT_READY:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": status, "live_calls": await _live_calls(services)}


@router.get("")
async def get_health(services: TheServices) -> dict[str, Any]:
    """Every component as it was last seen by the worker that answers, and what is running."""
    latest = services.health.latest
    return {
        "status": _status(services),
        "components": [_component(item) for item in latest.components] if latest else [],
        "version": services.version,
        "schema": REVISION,
        "live_calls": await _live_calls(services),
        "workers": services.settings.workers,
    }


def _status(services: Services) -> str:
    return services.health.latest.status if services.health.latest else "starting"


async def _live_calls(services: Services) -> int:
    """Of all workers; of this one alone while the storage cannot say."""
    if _status(services) != "failed":
        try:
            async with asyncio.timeout(_COUNTING_SECONDS):
                return await services.calls.count_live()
        except (StorageError, TimeoutError):
            pass
    return services.dispatcher.live_calls


def _component(item: ServiceHealth) -> dict[str, Any]:
    return {
        "name": item.name,
        "status": item.status,
        "latency": None if item.latency is None else round(item.latency, 4),
        "last_success": iso_utc(item.last_success) if item.last_success else None,
        "breaker": item.breaker,
        "detail": item.detail,
    }
