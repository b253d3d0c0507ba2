"""One wrong field of a webhook of LiveKit: it costs what it says, or the event, which the reconciler then finds."""

from typing import Any

import pytest

from app.clients.livekit import webhooks
from app.errors import WebhookInvalid
from tests.matrix.cells import PARTS, Cell, hold_cells
from tests.matrix.spoiling import NO_JSON, WAYS, encoded, fields_in, names_read, spoilt

ATTRIBUTES = {"sip.callID": "SCL_1", "sip.phoneNumber": "+79990000001"}
WEBHOOK: dict[str, Any] = {
    "event": "participant_joined",
    "id": "EV_1",
    "createdAt": "1780000000",
    "room": {"name": "call-_1", "sid": "RM_1", "numParticipants": 1},
    "participant": {"sid": "PA_1", "identity": "sip_1", "kind": "SIP", "attributes": ATTRIBUTES, "metadata": ""},
}
NAMES = {("event",), ("id",), ("room", "name"), ("room", "sid"), ("participant", "identity")}
HOLDERS = {(), ("room",), ("participant",), ("participant", "attributes")}
"""What is wrong with these may cost the event."""


async def hold(cell: Cell) -> str | None:
    body = spoilt(WEBHOOK, cell.field, cell.way)
    try:
        event = webhooks.read_webhook(encoded(body))
    except WebhookInvalid:
        return None if cell.field in NAMES | HOLDERS or cell.way in NO_JSON else "refused"
    caller = event.caller
    if caller is None:
        loses = {*HOLDERS, ("participant", "kind"), ("participant", "attributes", "sip.callID")}
        return None if cell.field in loses else "no caller"
    found = [event.event, event.event_id, caller.room, caller.room_sid, caller.identity]
    wanted = [body["event"], body["id"], body["room"]["name"], body["room"]["sid"], body["participant"]["identity"]]
    if found != wanted or not all(found):
        return f"read as {found}"
    lost = ATTRIBUTES.items() - caller.attributes.items()
    return f"lost {lost}" if {name for name, _ in lost} - {*cell.field, *_within(cell)} else None


def _within(cell: Cell) -> set[str]:
    return set(ATTRIBUTES) if cell.field in HOLDERS else set()


def cells() -> list[Cell]:
    return [Cell("webhook", 0, field, way) for field in [(), *fields_in(WEBHOOK)] for way in WAYS]


@pytest.mark.parametrize("part", PARTS)
async def test_a_wrong_field_of_a_webhook_costs_what_it_says_at_most(part: int) -> None:
    await hold_cells(cells(), hold, part)


def test_every_field_that_is_read_is_spoilt() -> None:
    tried = {name for field in fields_in(WEBHOOK) for name in field}
    assert names_read(webhooks) - tried == {"iss", "exp", "nbf", "sha256"}, "of the token, which is verified"
