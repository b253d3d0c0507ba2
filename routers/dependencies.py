"""FastAPI dependencies: the services of a request, and the checks of its key."""

import asyncio
import hmac
import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request, Security
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from app.errors import KeyNotAllowed
from app.storage.api_keys import OPERATOR, SCOPES, Scope
from app.wiring import Services
from routers import session_cookie
from routers.attempts import FailedAttempts
from routers.scopes import method_and_path, needed_scope


def services_of(connection: HTTPConnection) -> Services:
    """The services of the running application."""
    services: Services = connection.app.state.services
    return services


TheServices = Annotated[Services, Depends(services_of)]

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer <API_KEY>`")
_Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(_BEARER),
]
_Cookie = Annotated[
    str | None,
    Security(
        APIKeyCookie(
            name=session_cookie.NAME, auto_error=False, scheme_name="cookie", description="Given by `POST /session`"
        )
    ),
]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who sent a request."""

    name: str
    """As the audit names them."""
    scopes: frozenset[Scope]


_THIS_MACHINE = KeyHolder("this machine", frozenset(SCOPES))
"""Where no API_KEY is set."""
_OPERATOR = KeyHolder(OPERATOR, frozenset(SCOPES))


async def require_key(connection: HTTPConnection, services: TheServices, bearer: _Bearer, cookie: _Cookie) -> None:
    """Refuse a request without a key that may do that, or its cookie. With no key set, answer this machine only.

    Raises HTTPException, KeyNotAllowed, and StorageError when a named key cannot be looked up.
    """
    key = services.settings.api_key
    holder = None if key is None else await _holder_of_key(bearer, key, services)
    if holder is None:
        if key is None:
            _require_this_machine(connection)
            holder = _THIS_MACHINE
        elif (holder := await _holder_of_cookie(cookie, key, services)) is None:
            refuse(connection, "api", guessed=bool(cookie) or _has_key(connection))
        require_own_page(connection, services)
    scope = needed_scope(*method_and_path(connection))
    if scope not in holder.scopes:
        raise KeyNotAllowed(f"the key {holder.name!r} lacks the scope {scope!r}, which this request needs")
    connection.state.key_holder = holder


async def _holder_of_key(bearer: _Bearer, key: SecretStr, services: Services) -> KeyHolder | None:
    if bearer is None:
        return None
    if is_same(bearer.credentials, key):
        return _OPERATOR
    named = await services.operators.keys.find(bearer.credentials)
    return None if named is None else KeyHolder(named.name, named.scopes)


async def _holder_of_cookie(cookie: str | None, key: SecretStr, services: Services) -> KeyHolder | None:
    """A cookie of a named key ends with that key."""
    given = None if cookie is None else session_cookie.key_of(cookie, key)
    if given is None or given.mark is None:
        return None if given is None else _OPERATOR
    named = await services.operators.keys.named(given.name)
    return KeyHolder(named.name, named.scopes) if named is not None and named.mark == given.mark else None


async def is_stranger(request: Request, services: TheServices) -> bool:
    """Whether a request without a key asks an open endpoint in production. A wrong key is refused even there.

    Another scheme in the same header, such as a proxy's own password, does not count as a key.
    """
    if services.settings.environment != "production":
        return False
    bearer, cookie = await _BEARER(request), request.cookies.get(session_cookie.NAME)
    if bearer is None and not cookie:
        return True
    await require_key(request, services, bearer, cookie)
    return False


async def require_metrics_token(connection: HTTPConnection, services: TheServices, bearer: _Bearer) -> None:
    """Refuse a request without the metrics token, if one is set."""
    token = services.settings.metrics_token
    if token is not None and not _is_right(bearer, token):
        refuse(connection, "metrics", guessed=_has_key(connection))


def is_same(given: str, secret: SecretStr) -> bool:
    """Compare in constant time. JSON can contain half a surrogate pair, which plain encoding would not accept."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), secret.get_secret_value().encode())


def refuse(connection: HTTPConnection, surface: str, *, guessed: bool) -> NoReturn:
    """Raise 401, or 429 if this address has sent too many wrong keys. A missing key does not count as wrong.

    The address is that of the connection, or the one that a trusted proxy names (``FORWARDED_ALLOW_IPS``).
    """
    attempts: FailedAttempts = connection.app.state.failed_attempts
    address = connection.client.host if connection.client else ""
    note = services_of(connection).metrics.access.refused
    if guessed and (quiet_seconds := attempts.fail(address, asyncio.get_running_loop().time())):
        note(surface, "too_many_keys")
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS, "too many wrong keys came from here", {"Retry-After": str(quiet_seconds)}
        )
    note(surface, "wrong_key" if guessed else "no_key")
    raise HTTPException(
        HTTPStatus.UNAUTHORIZED,
        "a valid key is needed: Authorization: Bearer <key>",
        {"WWW-Authenticate": "Bearer"},
    )


def require_own_page(connection: HTTPConnection, services: TheServices) -> None:
    """Refuse a request that a page of another site makes the browser send."""
    if not session_cookie.is_from_here(connection, services.settings.domain):
        raise HTTPException(HTTPStatus.FORBIDDEN, "this request comes from a page of another site")


def _require_this_machine(connection: HTTPConnection) -> None:
    """Refuse a request to a public host name: one of a tunnel, or of a DNS rebinding attack.

    In such an attack a page resolves its own name to 127.0.0.1, so that the browser takes this service for the page's
    own server. IP addresses and names without a dot are safe.
    """
    name = _host_name(connection.headers.get("host", ""))
    if name is None or ("." in name and not name.endswith(".localhost") and not _is_address(name)):
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "without an API_KEY the service answers on this machine only; set one"
        )


def _host_name(host: str) -> str | None:
    """The host name without the port; None if it cannot be parsed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_right(bearer: HTTPAuthorizationCredentials | None, secret: SecretStr) -> bool:
    return bearer is not None and is_same(bearer.credentials, secret)


def _has_key(connection: HTTPConnection) -> bool:
    return "authorization" in connection.headers
