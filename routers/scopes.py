"""Which scope of a key a request needs. A table, so that one look shows what each key may do."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import HTTPConnection

from app.storage.api_keys import Scope

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""They change nothing. Websockets, which name no method, only show something: sockets that carry calls have tokens."""

_OTHER_SCOPES: Final[Mapping[tuple[str, str], Scope]] = {
    ("POST", "/calls"): "call",
    ("POST", "/calls/simulated"): "call",
    ("POST", "/media/sessions"): "call",
    ("DELETE", "/calls/{call_id}"): "erase",
    ("GET", "/audit"): "operate",
}
"""All other requests that change nothing need ``read``, and all others that change something ``operate``."""


def method_and_path(connection: HTTPConnection) -> tuple[str, str]:
    """Such as ``POST`` and ``/calls/{call_id}/hangup``: the route's path, without what stands in it."""
    route = connection.scope.get("route")
    path = getattr(route, "path", None) or connection.scope["path"]
    return connection.scope.get("method", "GET"), path


def needed_scope(method: str, path: str) -> Scope:
    """The scope of a route; ``path`` as the route has it."""
    return _OTHER_SCOPES.get((method, path)) or ("read" if method in SAFE_METHODS else "operate")
