"""Webhooks signed as LiveKit signs them."""

import base64
import hashlib
from typing import Any

import jwt

from app.clock import utc_now

KEY = "devkey"
VALID_SECONDS = 300


def signed(body: bytes, secret: str, *, key: str = KEY, at: float | None = None, **claims: Any) -> str:
    """The value of the Authorization header; ``at`` is when it was signed, in epoch seconds, now by default."""
    moment = int(utc_now().timestamp() if at is None else at)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    claims_sent = {"iss": key, "nbf": moment, "exp": moment + VALID_SECONDS, "sha256": digest, **claims}
    return jwt.encode(
        {name: value for name, value in claims_sent.items() if value is not None}, secret, algorithm="HS256"
    )
