"""One wrong field of a webhook of LiveKit: it is read, or refused as no event."""

import json
from typing import Any

from app.clients.livekit import webhooks
from app.errors import WebhookInvalid
from app.models import TelephoneCall
from tests.matrix.cells import Cell, hold_cells
from tests.matrix.spoiling import WAYS, encoded, fields_in, spoilt

WEBHOOK: dict[str, Any] = {
    "event": "participant_joined",
    "id": "EV_1",
    "createdAt": "1780000000",
    "room": {"name": "call-_1", "sid": "RM_1"},
    "participant": {"sid": "PA_1", "identity": "sip_1", "kind": "SIP", "attributes": {"sip.callID": "SCL_1"}},
}


async def hold(cell: Cell) -> str | None:
    try:
        event = webhooks.read_webhook(encoded(spoilt(WEBHOOK, cell.field, cell.way)))
    except WebhookInvalid:
        return None
    kept = json.dumps([event.event_id, event.event, event.caller.attributes if event.caller else None])
    return None if isinstance(event.caller, TelephoneCall | None) and kept else "no event"


async def test_a_wrong_field_of_a_webhook_is_read_or_refused() -> None:
    await hold_cells([Cell("webhook", 0, field, way) for field in [(), *fields_in(WEBHOOK)] for way in WAYS], hold)
