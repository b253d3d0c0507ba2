"""Webhooks of LiveKit at the service's side of the door: verified, kept if they matter, counted."""

from collections.abc import Mapping

from app.calls.dispatch.claims import Claims
from app.calls.telephone.inbound import RoomCalls
from app.clients.livekit.webhooks import KNOWN_EVENTS, read_webhook, verify_webhook
from app.clock import utc_now
from app.errors import WebhookInvalid
from app.observability.metrics import Metrics
from app.storage.webhooks import WebhookInbox

_WANTED = "participant_joined"
"""The caller rings. All that follows is seen in the room itself, sooner and in order."""


class Webhooks:
    """Takes what LiveKit sends; nothing is worked on before it is answered."""

    def __init__(
        self, secrets: Mapping[str, str], inbox: WebhookInbox, rooms: RoomCalls, claims: Claims, metrics: Metrics
    ) -> None:
        self._secrets = secrets
        self._inbox = inbox
        self._rooms = rooms
        self._claims = claims
        self._metrics = metrics

    async def receive(self, body: bytes, token: str) -> None:
        """Returns once the event is safe. Raises WebhookInvalid or StorageError, after which LiveKit sends it again."""
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
            self._claims.ring()
        self._metrics.webhook_received(event.event if event.event in KNOWN_EVENTS else "unknown", result)
