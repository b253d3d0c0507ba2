"""Health endpoints for monitoring. They answer from the last check and contact nobody."""

import asyncio
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from app.clock import iso_utc
from app.errors import StorageError
from app.models import ServiceHealth
from app.storage.schema import REVISION
from app.wiring import Services
from routers.dependencies import TheServices, is_stranger
from routers.query_parameters import KNOWN_PARAMETERS

router = APIRouter(prefix="/health", dependencies=[KNOWN_PARAMETERS], tags=["health"])

_COUNTING_SECONDS = 0.5
_NOT_READY = ("starting", "draining", "paused", "stale", "failed")
_TOOL = "tool:"
_WORST_FIRST = ("failed", "degraded", "ok")


@router.get("/live")
async def check_live(services: TheServices, response: Response) -> dict[str, str]:
    """Whether the process works. 503 once a part that calls need is gone, and the process is about to end."""
    if services.loops.gone.is_set():
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return {"status": "failed"}
    return {"status": "ok"}


@router.get("/ready")
async def check_ready(services: TheServices, response: Response) -> dict[str, Any]:
    """Whether the service takes calls, and how many are live on all workers.

    It takes none while it starts or stops, while an operator has paused it, without its storage, or when its last
    health check is too old (`stale`).
    """
    status = _status(services)
    if status != "failed" and services.dispatcher.admission.is_draining:
        status = "draining"
    elif status != "failed" and services.operators.orders.current.paused_since is not None:
        status = "paused"
    if status in _NOT_READY:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": status, "live_calls": await _live_calls(services)}


@router.get("")
async def get_health(services: TheServices, stranger: Annotated[bool, Depends(is_stranger)]) -> dict[str, Any]:
    """Every component at the last check of the worker that answers, the age of that check, and what is running.

    In production, a client without a key sees the states, but neither the names of tools nor any detail, limit or cost.
    """
    latest = services.health.latest
    components = latest.components if latest else ()
    return {
        "status": _status(services),
        "age_seconds": round(services.health.age_seconds, 1) if latest else None,
        "components": _for_strangers(components) if stranger else [_component(item) for item in components],
        "failing_loops": [loop.name for loop in services.loops if loop.is_failing],
        "version": services.version,
        "schema": REVISION,
        "live_calls": await _live_calls(services),
        "workers": services.settings.workers,
        "spending": None if stranger else _spending(services),
        "limits": None if stranger else _limits(services),
        "orders": None if stranger else asdict(services.operators.orders.current),
        "webhooks": None if stranger else asdict(services.after.webhooks.backlog),
    }


def _status(services: Services) -> str:
    if services.loops.gone.is_set():
        return "failed"
    if services.health.latest is None:
        return "starting"
    return "stale" if services.health.is_stale else services.health.latest.status


async def _live_calls(services: Services) -> int:
    """Live calls of all workers; of this one alone while the storage does not answer."""
    if _status(services) != "failed":
        try:
            async with asyncio.timeout(_COUNTING_SECONDS):
                return await services.calls.count_live()
        except (StorageError, TimeoutError):
            pass
    return services.dispatcher.live_calls


def _spending(services: Services) -> dict[str, Any] | None:
    """What the calls of this UTC day have cost; None before it is read for the first time."""
    today = services.spending.latest
    return None if today is None else {**asdict(today), "limit_usd": services.spending.day_limit}


def _limits(services: Services) -> dict[str, Any]:
    """What the settings allow, and how much of the vendors' limits the worker that answers uses."""
    settings = services.settings
    return {
        "calls": settings.places,
        "call_usd": settings.max_call_cost_usd,
        "dials_per_day": settings.dials_per_day,
        "dials_per_number_hour": settings.dials_per_number_hour,
        "vendors": [asdict(state) for state in services.limits.states()],
    }


def _component(item: ServiceHealth) -> dict[str, Any]:
    return {
        "name": item.name,
        "status": item.status,
        "latency": None if item.latency is None else round(item.latency, 4),
        "last_success": iso_utc(item.last_success) if item.last_success else None,
        "breaker": item.breaker,
        "detail": item.detail,
    }


def _for_strangers(components: tuple[ServiceHealth, ...]) -> list[dict[str, str]]:
    """Names and states only. All tools appear as one, because their names show what the agent is for."""
    tools = [item.status for item in components if item.name.startswith(_TOOL)]
    shown = [{"name": item.name, "status": str(item.status)} for item in components if not item.name.startswith(_TOOL)]
    return [*shown, {"name": "tools", "status": min(tools, key=_WORST_FIRST.index)}] if tools else shown
