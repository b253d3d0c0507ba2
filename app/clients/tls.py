"""The TLS context that all connections of the process share."""

import ssl
from functools import cache

import httpx2


@cache
def tls_context() -> ssl.SSLContext:
    """A context with the system's certificate authorities, or those of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``.

    Reading them blocks the event loop for 20 to 50 ms. So it happens once, and not for each client or, as websockets
    would, for each socket.
    """
    return httpx2.create_ssl_context()


def tls_for(url: str) -> ssl.SSLContext | None:
    """The TLS context for a websocket to this address; None when it is not encrypted."""
    return tls_context() if url.startswith(("https:", "wss:")) else None
