"""Endpoints that order the whole service, all workers and machines, and the list of who has asked for what."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.storage.service_orders import Order
from app.wiring import Services
from routers.auditing import WITH_KEY
from routers.dependencies import KeyHolder, TheServices
from routers.service_schemas import AuditPage, AuditRow, OrdersInForce

router = APIRouter(dependencies=WITH_KEY, tags=["service"])

_ID_MAX = 2**63 - 1
"""The database holds no larger number."""


@router.post("/service/pause", status_code=HTTPStatus.ACCEPTED)
async def pause_service(request: Request, services: TheServices) -> OrdersInForce:
    """Take no new calls until `/service/resume`, also after a restart. Live calls go on; callers hear an apology."""
    return await _give("pause", request, services)


@router.post("/service/resume", status_code=HTTPStatus.ACCEPTED)
async def resume_service(request: Request, services: TheServices) -> OrdersInForce:
    """Take and place calls again."""
    return await _give("resume", request, services)


@router.post("/service/drain", status_code=HTTPStatus.ACCEPTED)
async def drain_service(request: Request, services: TheServices) -> OrdersInForce:
    """Take no new calls, and end the processes that run now as soon as no call is live.

    A process that starts later runs, and takes no calls until `/service/resume`.
    """
    return await _give("drain", request, services)


@router.post("/service/stop-outbound", status_code=HTTPStatus.ACCEPTED)
async def stop_outbound(request: Request, services: TheServices) -> OrdersInForce:
    """Place no calls until `/service/resume`, and hang up those that nobody has answered yet."""
    return await _give("stop-outbound", request, services)


@router.get("/audit")
async def list_audit(
    services: TheServices,
    key: Annotated[str | None, Query(min_length=1, max_length=100, description="The name of a key.")] = None,
    call_id: Annotated[str | None, Query(min_length=1, max_length=200, description="Entries about this call.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=_ID_MAX, description="`next_cursor` of the page before.")] = None,
) -> AuditPage:
    """List who has asked for what, newest first: each request that changes something, and each change of keys."""
    found = await services.operators.audit.page(limit=limit + 1, before=cursor, key=key, call_id=call_id)
    page = found[:limit]
    next_cursor = page[-1].audit_id if len(found) > limit else None
    return AuditPage(entries=[AuditRow(**asdict(entry)) for entry in page], next_cursor=next_cursor)


async def _give(order: Order, request: Request, services: Services) -> OrdersInForce:
    holder: KeyHolder = request.state.key_holder
    return OrdersInForce(**asdict(await services.operators.orders.give(order, holder.name)))
