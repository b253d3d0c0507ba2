"""Receives LiveKit's webhooks: verifies each one, stores those that matter, counts all."""

from collections.abc import Mapping

import structlog

from app.calls.dispatch.claims import Claims
from app.calls.telephone.inbound import RoomCalls
from app.clients.livekit.webhooks import KNOWN_EVENTS, read_webhook, verify_webhook
from app.clock import utc_now
from app.errors import WebhookInvalid
from app.observability.metrics import Metrics
from app.storage.webhooks import WebhookInbox

log = structlog.get_logger(__name__)

_WANTED = "participant_joined"
"""A caller rings. The leg sees everything later in the room itself, sooner and in order."""


class Webhooks:
    """Stores webhooks and answers at once. The claims loop works on them afterwards."""

    def __init__(
        self, secrets: Mapping[str, str], inbox: WebhookInbox, rooms: RoomCalls, claims: Claims, metrics: Metrics
    ) -> None:
        self._secrets = secrets
        self._inbox = inbox
        self._rooms = rooms
        self._claims = claims
        self._metrics = metrics

    async def receive(self, body: bytes, token: str) -> None:
        """Store the event. Raises WebhookInvalid or StorageError; LiveKit then sends the event again."""
        now = utc_now()
        try:
            verify_webhook(body, token, self._secrets, now)
            event = read_webhook(body)
        except WebhookInvalid:
            self._metrics.webhook_received("unknown", "refused")
            raise
        result = "ignored"
        if event.event == _WANTED and event.caller is not None and self._rooms.is_ours(event.caller):
            is_new = await self._inbox.add(event.event_id, event.event, event.caller, now)
            result = "accepted" if is_new else "duplicate"
            if is_new:
                log.info("webhook.accepted", event_id=event.event_id, room_sid=event.caller.room_sid)
            self._claims.wake()
        self._metrics.webhook_received(event.event if event.event in KNOWN_EVENTS else "unknown", result)
