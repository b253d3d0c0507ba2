"""LiveKit's webhooks: verifies the sender and reads what we need.

https://docs.livekit.io/home/server/webhooks/: the ``Authorization`` header is a JWT without ``Bearer``, signed with one
of the server's keys. Its claim ``sha256`` is the base64 of the SHA-256 of the raw body.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import jwt

from app.clients.messages import Unreadable, as_object, as_text, read_object, readable
from app.errors import WebhookInvalid
from app.models import TelephoneCall

KNOWN_EVENTS = frozenset(
    {
        "room_started",
        "room_finished",
        "participant_joined",
        "participant_left",
        "participant_connection_aborted",
        "track_published",
        "track_unpublished",
        "egress_started",
        "egress_updated",
        "egress_ended",
        "ingress_started",
        "ingress_ended",
        "agent_job_started",
        "agent_job_ended",
    }
)
OUR_LEG = "va.leg"
"""The attribute of a participant that the service itself has dialled; such a participant never starts a call."""
_CALL_ID = "sip.callID"
_VALID_SECONDS = 300
_LEEWAY_SECONDS = 60
"""How far the clocks may differ; LiveKit's own tolerance."""
_LAST_MOMENT = 1e12
"""The largest accepted time, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """The parts of a webhook that we need."""

    event_id: str
    event: str
    caller: TelephoneCall | None
    """The participant of the event, if it is a caller."""


def verify_webhook(body: bytes, token: str, secrets: Mapping[str, str], now: datetime) -> None:
    """Raises WebhookInvalid unless the token is valid now, for this body, and signed with one of our keys' secrets."""
    try:
        key = jwt.decode(token, options={"verify_signature": False}).get("iss")
        secret = secrets.get(key) if isinstance(key, str) else None
        if secret is None:
            raise WebhookInvalid("the webhook is signed with a key that is not known here")
        options: Any = {"require": ["exp", "iss"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        claims = jwt.decode(token, secret, algorithms=["HS256"], options=options)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise WebhookInvalid("the webhook's token does not verify") from error
    moment = now.timestamp()
    if not _number(claims.get("nbf"), 0) - _LEEWAY_SECONDS <= moment <= _number(claims["exp"], 0) + _LEEWAY_SECONDS:
        raise WebhookInvalid("the webhook's token is not valid now")
    digest = base64.b64encode(hashlib.sha256(body).digest())
    if not hmac.compare_digest(digest, str(claims.get("sha256", "")).encode()):
        raise WebhookInvalid("the webhook's body is not the one that was signed")


def sign_webhook(body: bytes, key: str, secret: str, now: datetime) -> str:
    """The ``Authorization`` header for a body, as LiveKit signs it, for a test webhook."""
    moment, digest = int(now.timestamp()), base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": key, "nbf": moment, "exp": moment + _VALID_SECONDS, "sha256": digest}
    return jwt.encode(claims, secret, algorithm="HS256")


def read_webhook(body: bytes) -> WebhookEvent:
    """Read a verified body. Raises WebhookInvalid when it is not an event."""
    try:
        event = read_object(body)
        return WebhookEvent(_name(event, "id"), _name(event, "event"), _caller(event))
    except Unreadable as error:
        raise WebhookInvalid("the webhook's body is no event") from error


def telephone_call(room: str, room_sid: str, identity: str, attributes: Mapping[str, str]) -> TelephoneCall | None:
    """The telephone call of a SIP participant; None for a leg that we dialled, and without a SIP call id."""
    if not attributes.get(_CALL_ID) or OUR_LEG in attributes:
        return None
    return TelephoneCall(room, room_sid, identity, dict(attributes))


def _caller(event: Mapping[str, object]) -> TelephoneCall | None:
    participant = as_object(event.get("participant") or {}, "participant")
    if participant.get("kind") != "SIP":
        return None
    room = as_object(event.get("room"), "room")
    given = as_object(participant.get("attributes") or {}, "attributes")
    texts = {name: readable(partial(as_text, given[name])) for name in given if readable(partial(as_text, name))}
    attributes = {name: text for name, text in texts.items() if text is not None}
    return telephone_call(_name(room, "name"), _name(room, "sid"), _name(participant, "identity"), attributes)


def _name(holder: Mapping[str, object], field: str) -> str:
    """Raises Unreadable for what is no name: two nulls are not the same event, room or caller."""
    if not (name := as_text(holder.get(field), field)):
        raise Unreadable(f"{field} is empty")
    return name


def _number(value: Any, otherwise: float) -> float:
    """The seconds of a claim. Raises WebhookInvalid for a number that is not a time, such as one of 400 digits."""
    if not isinstance(value, int | float):
        return otherwise
    if not abs(value) < _LAST_MOMENT:
        raise WebhookInvalid("the webhook's token holds a time that is none")
    return float(value)
