"""Whom the service trusts: one TLS context for all connections of the process."""

import ssl
from functools import cache

import httpx2


@cache
def tls_context() -> ssl.SSLContext:
    """The authorities of the system, or those that ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` name.

    Reading them takes 20 to 50 ms, in which the loop hears no call: so it is done once, and not for each client or,
    as websockets does, for each socket.
    """
    return httpx2.create_ssl_context()


def tls_for(url: str) -> ssl.SSLContext | None:
    """What a websocket to that address is opened with; None for one that is not encrypted."""
    return tls_context() if url.startswith(("https:", "wss:")) else None
