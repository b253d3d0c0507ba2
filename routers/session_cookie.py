"""The cookie a browser is let in by: an ``<audio>`` and an ``EventSource`` cannot send the key in a header.

Its value is signed with the API key and holds nothing but the moment it was given, so that every worker knows it,
nothing is stored, and a new key ends every session. Whoever logs out throws his cookie away; a copy of it is good until
it expires.
"""

import hashlib

from fastapi import Response
from fastapi.requests import HTTPConnection
from itsdangerous import BadSignature, TimestampSigner
from pydantic import SecretStr

NAME = "voice_agent"
SECONDS = 12 * 60 * 60
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_VALUE = "operator"


def signer(api_key: SecretStr) -> TimestampSigner:
    """HMAC-SHA256 with a key derived from the API key."""
    return TimestampSigner(api_key.get_secret_value(), salt=NAME, key_derivation="hmac", digest_method=hashlib.sha256)


def set_cookie(response: Response, api_key: SecretStr, *, secure: bool) -> None:
    """Let the browser in for twelve hours; only it, and only from pages of this service."""
    value = signer(api_key).sign(_VALUE).decode()
    response.set_cookie(NAME, value, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)


def clear_cookie(response: Response, *, secure: bool) -> None:
    """Have the browser forget it."""
    response.delete_cookie(NAME, httponly=True, samesite="strict", secure=secure)


def is_genuine(cookie: str, api_key: SecretStr) -> bool:
    """Whether it was given out here, with the key of today, within the last twelve hours."""
    try:
        return signer(api_key).unsign(cookie, max_age=SECONDS) == _VALUE.encode()
    except BadSignature:  # also what an expired one is
        return False


def is_from_here(connection: HTTPConnection, domain: str | None) -> bool:
    """Whether a request that changes something comes from a page of this service, as far as the browser tells."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in _SAFE_METHODS:
        return True
    return origin.partition("://")[2] in (connection.headers.get("host"), domain)
