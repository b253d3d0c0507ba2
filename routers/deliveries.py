"""Endpoints for the webhooks that the service sends: what became of each, and once more."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query

from app.clock import utc_now
from app.storage.outbox import Delivery
from app.wiring import Services
from routers.auditing import WITH_KEY
from routers.dependencies import TheServices
from routers.schemas import DeliveryPage, WebhookDelivery

router = APIRouter(prefix="/webhooks/deliveries", dependencies=WITH_KEY, tags=["webhooks"])

_ID_MAX = 2**63 - 1
"""The database holds no larger number."""


@router.get("")
async def list_deliveries(
    services: TheServices,
    status: Literal["pending", "delivered", "dead"] | None = None,
    call_id: Annotated[str | None, Query(min_length=1, max_length=200, description="Those of this call.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=1, le=_ID_MAX, description="`next_cursor` of the page before.")] = None,
) -> DeliveryPage:
    """List the webhooks that the service sends or has sent, newest first."""
    found = await services.after.outbox.list(status, limit=limit + 1, before=cursor, call_id=call_id)
    page = found[:limit]
    next_cursor = page[-1].delivery_id if len(found) > limit else None
    return DeliveryPage(deliveries=[delivery_of(delivery, services) for delivery in page], next_cursor=next_cursor)


@router.post("/{delivery_id}/retry", status_code=HTTPStatus.ACCEPTED)
async def retry_delivery(delivery_id: Annotated[int, Path(ge=1, le=_ID_MAX)], services: TheServices) -> WebhookDelivery:
    """Send a webhook again, now, with the same `webhook-id`. An endpoint that had answered 410 is on again."""
    delivery = await services.after.outbox.retry(delivery_id, utc_now())
    if delivery is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such delivery")
    return delivery_of(delivery, services)


def delivery_of(delivery: Delivery, services: Services) -> WebhookDelivery:
    """A delivery as it is shown: without the endpoint's secrets."""
    endpoint = services.after.webhooks.endpoints.get(delivery.endpoint_id)
    return WebhookDelivery(
        delivery_id=delivery.delivery_id,
        webhook_id=delivery.message_id,
        call_id=delivery.call_id,
        event=delivery.event,
        url=None if endpoint is None else endpoint.shown,
        agent=None if endpoint is None else endpoint.agent,
        status=delivery.status,
        attempts=delivery.attempts,
        happened_at=delivery.happened_at,
        next_attempt_at=delivery.due_at if delivery.status == "pending" else None,
        delivered_at=delivery.delivered_at,
        answer=delivery.answer,
        error=delivery.error,
    )
