import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.clients.livekit.webhooks import read_webhook, verify_webhook
from app.errors import WebhookInvalid
from tests.support.webhooks import KEY, VALID_SECONDS, signed

SECRET = "a secret of more than thirty-two bytes"
NEXT_SECRET = "the secret that follows it, as long as it"
SECRETS = {KEY: SECRET, "next": NEXT_SECRET}
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BODY = b'{"event": "room_started", "id": "EV_1"}'


def token(body: bytes = BODY, secret: str = SECRET, **claims: Any) -> str:
    return signed(body, secret, at=NOW.timestamp(), **claims)


def unsigned(claims: bytes) -> str:
    """A token with those claims, whose signature nobody made."""
    head, _, signature = token().split(".")
    return ".".join((head, base64.urlsafe_b64encode(claims).decode().rstrip("="), signature))


def test_what_livekit_signed_is_taken() -> None:
    verify_webhook(BODY, token(), SECRETS, NOW)


def test_either_key_may_sign_while_one_follows_the_other() -> None:
    verify_webhook(BODY, token(secret=NEXT_SECRET, key="next"), SECRETS, NOW)


@pytest.mark.parametrize("late", [-59, VALID_SECONDS + 59])
def test_clocks_may_differ_by_a_minute(late: int) -> None:
    verify_webhook(BODY, token(), SECRETS, NOW + timedelta(seconds=late))


@pytest.mark.parametrize(
    ("header", "late"),
    [
        ("", 0),
        ("no token", 0),
        ("Bearer " + token(), 0),
        (token(BODY + b" "), 0),
        (token(sha256=None), 0),
        (token(sha256="ж"), 0),
        (token(secret=NEXT_SECRET), 0),
        (token(key="stranger"), 0),
        (token(key="next"), 0),
        (token(exp=None), 0),
        (token(exp="soon"), 0),
        (token(exp=10**400), 0),
        (token(nbf=-(10**400)), 0),
        (token(exp=1e308), 0),
        (token(exp=float("inf")), 0),
        (unsigned(b"[" * 40_000 + b"]" * 40_000), 0),
        (unsigned(b'{"iss": ' + b"9" * 5000 + b"}"), 0),
        (token(), -61),
        (token(), VALID_SECONDS + 61),
    ],
)
def test_anything_else_is_refused(header: str, late: int) -> None:
    with pytest.raises(WebhookInvalid):
        verify_webhook(BODY, header, SECRETS, NOW + timedelta(seconds=late))


def test_a_token_without_a_signature_is_refused() -> None:
    head, payload, _ = token().split(".")
    with pytest.raises(WebhookInvalid):
        verify_webhook(BODY, f"{head}.{payload}.", SECRETS, NOW)


def event(**more: Any) -> bytes:
    attributes = {"sip.callID": "SCL_1", "sip.phoneNumber": "+79990000001"}
    participant = {"identity": "sip_1", "kind": "SIP", "attributes": attributes}
    room = {"name": "call_1", "sid": "RM_1", "turnPassword": "secret"}
    return json.dumps(
        {"event": "participant_joined", "id": "EV_1", "room": room, "participant": participant} | more
    ).encode()


def test_a_caller_is_read_with_the_identity_of_the_call() -> None:
    caller = read_webhook(event()).caller
    assert caller is not None
    assert (caller.room, caller.room_sid, caller.sip_call_id, caller.identity) == ("call_1", "RM_1", "SCL_1", "sip_1")


@pytest.mark.parametrize(
    "participant",
    [
        {},
        {"identity": "agent-1", "kind": "AGENT", "attributes": {"sip.callID": "SCL_1"}},
        {"identity": "sip_1", "kind": "SIP"},
        {"identity": "sip_1", "kind": "SIP", "attributes": {"sip.callID": "SCL_1", "va.leg": "transfer"}},
    ],
)
def test_nobody_else_is_a_caller(participant: dict[str, Any]) -> None:
    assert read_webhook(event(participant=participant)).caller is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"\xff", event(room={}), event(participant="x")])
def test_what_is_not_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookInvalid):
        read_webhook(body)
