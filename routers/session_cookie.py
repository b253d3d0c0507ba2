"""The session cookie of a browser: ``<audio>`` and ``EventSource`` cannot send the key in a header.

Its value is the time of the login, signed with the API key. So every worker can check it, nothing is stored, and a new
key ends every session. Logging out deletes the browser's cookie; a copy of it works until it expires.
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
    """Let this browser in for twelve hours, from pages of this service only."""
    value = signer(api_key).sign(_VALUE).decode()
    response.set_cookie(NAME, value, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)


def clear_cookie(response: Response, *, secure: bool) -> None:
    """Make the browser delete the cookie."""
    response.delete_cookie(NAME, httponly=True, samesite="strict", secure=secure)


def is_genuine(cookie: str, api_key: SecretStr) -> bool:
    """Whether this service issued the cookie, with the current key, within the last twelve hours."""
    try:
        return signer(api_key).unsign(cookie, max_age=SECONDS) == _VALUE.encode()
    except BadSignature:  # SignatureExpired is one, too
        return False


def is_from_here(connection: HTTPConnection, domain: str | None) -> bool:
    """Whether a request comes from a page of this service, as far as the browser says. Always true for safe methods."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in _SAFE_METHODS:
        return True
    return origin.partition("://")[2] in (connection.headers.get("host"), domain)
