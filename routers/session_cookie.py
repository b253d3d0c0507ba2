"""The session cookie of a browser: ``<audio>`` and ``EventSource`` cannot send the key in a header.

Its value is whose key it was given for and the time of the login, signed with the API key. So every worker can check
it, nothing is stored, and a new API key ends every session; revoking a named key ends those of that key. Logging out
deletes the browser's cookie; a copy of it works until it expires.
"""

import hashlib
from dataclasses import dataclass

from fastapi import Response
from fastapi.requests import HTTPConnection
from itsdangerous import BadSignature, TimestampSigner
from pydantic import SecretStr

from app.storage.api_keys import OPERATOR
from routers.scopes import SAFE_METHODS

NAME = "voice_agent"
SECONDS = 12 * 60 * 60
_MARK = ":"


@dataclass(frozen=True, slots=True)
class CookieKey:
    """The key that a cookie was given for."""

    name: str
    mark: str | None
    """That of a named key; None for the API key of the settings."""


def signer(api_key: SecretStr) -> TimestampSigner:
    """HMAC-SHA256 with a key derived from the API key."""
    return TimestampSigner(api_key.get_secret_value(), salt=NAME, key_derivation="hmac", digest_method=hashlib.sha256)


def set_cookie(response: Response, api_key: SecretStr, given: CookieKey, *, secure: bool) -> None:
    """Let this browser in for twelve hours, from pages of this service only, with what that key may do."""
    holder = given.name if given.mark is None else f"{given.name}{_MARK}{given.mark}"
    value = signer(api_key).sign(holder).decode()
    response.set_cookie(NAME, value, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)


def clear_cookie(response: Response, *, secure: bool) -> None:
    """Make the browser delete the cookie."""
    response.delete_cookie(NAME, httponly=True, samesite="strict", secure=secure)


def key_of(cookie: str, api_key: SecretStr) -> CookieKey | None:
    """The key of a cookie; None unless this service issued it, with the current API key, in the last twelve hours."""
    try:
        holder = signer(api_key).unsign(cookie, max_age=SECONDS).decode()
    except (BadSignature, UnicodeDecodeError):  # SignatureExpired is one, too
        return None
    name, _, mark = holder.rpartition(_MARK)
    if name:
        return CookieKey(name, mark)
    return CookieKey(holder, None) if holder == OPERATOR else None


def is_from_here(connection: HTTPConnection, domain: str | None) -> bool:
    """Whether a request comes from a page of this service, as far as the browser says. Always true for safe methods."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in SAFE_METHODS:
        return True
    return origin.partition("://")[2] in (connection.headers.get("host"), domain)
