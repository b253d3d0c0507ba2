"""Connections to OpenAI through its SDK. Imported on first use, because the SDK's 500 modules load slowly."""

import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import httpx2
import openai

from app.clients.openai.events import PROVIDER, error_code, vendor_error
from app.clients.openai.requests import Body
from app.clients.openai.values import id_of
from app.clients.rate_limit_headers import wished_wait
from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderRateLimited, ProviderTimeout, ProviderUnavailable

_PROBES = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 15),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
)
"""The kernel probes idle connections after 15 s, every 5 s, 3 times, so a dead one is found before it is needed."""


class OpenAIConnections:
    """A connection pool. Errors are raised as ProviderError, never as the SDK's."""

    def __init__(self, *, api_key: str, base_url: str, connect_seconds: float, keepalive_seconds: float) -> None:
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=200, keepalive_expiry=keepalive_seconds)
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            # No read timeout: the answer has deadlines on its progress.
            timeout=httpx2.Timeout(connect_seconds, read=None),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=limits, transport=_probing_transport(limits), verify=tls_context()
            ),
        )

    async def send(self, path: str, body: Body, headers: dict[str, str]) -> "OpenAIResponse":
        """Send a request; the caller closes the response."""
        with _vendor_errors():
            # The SDK's generic call returns the raw response; the typed one adds 0.8 ms before the first token.
            response = await self._sdk.post(
                path,
                cast_to=httpx2.Response,
                body=body,
                options={"headers": headers},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
        return OpenAIResponse(cast("httpx2.Response", response))

    async def list_models(self) -> None:
        """Request the list of models, only to open a connection: a compatible server may not have the list."""
        with _vendor_errors(), suppress(openai.NotFoundError):
            await self._sdk.get("/models", cast_to=httpx2.Response)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sdk.close()


class OpenAIResponse:
    """The streaming response to one request."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks = response.aiter_bytes()
        self.request_id: str | None = id_of(response.headers.get("x-request-id"))
        self.headers: Mapping[str, str] = response.headers
        """They say how much of the vendor's limit is left."""

    async def read(self) -> bytes | None:
        """Read the next bytes of the body, None at its end. Raises ProviderError."""
        with _vendor_errors(self.request_id):
            return await anext(self._chunks, None)

    async def aclose(self) -> None:
        """Close the response, and the connection too unless the body was read to its end."""
        await self._chunks.aclose()
        await self._response.aclose()


@contextmanager
def _vendor_errors(request_id: str | None = None) -> Iterator[None]:
    """Map errors of the SDK and the network to ours; raised from None, because the originals may quote the input."""
    try:
        yield
    except openai.APIStatusError as error:
        raise _status_error(error) from None
    except (openai.APITimeoutError, httpx2.TimeoutException):
        raise ProviderTimeout(PROVIDER, "no connection before the deadline", request_id=request_id) from None
    except (openai.APIConnectionError, httpx2.TransportError, OSError) as error:
        cause = type(error.__cause__ or error).__name__
        raise ProviderUnavailable(PROVIDER, f"the connection failed ({cause})", request_id=request_id) from None
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        raise ProviderProtocolError(PROVIDER, f"unreadable ({type(error).__name__})", request_id=request_id) from None


def _status_error(error: openai.APIStatusError) -> ProviderError:
    mapped = vendor_error(error.status_code, error_code(error.body), request_id=id_of(error.request_id))
    if isinstance(mapped, ProviderRateLimited):
        mapped.retry_after = wished_wait(error.response.headers)
    return mapped


def _probing_transport(limits: httpx2.Limits) -> httpx2.AsyncHTTPTransport | None:
    """A transport with keepalive probes; None, which means httpx2's default, if the environment names a proxy."""
    if urllib.request.getproxies().keys() & {"http", "https", "all"}:
        return None
    probes = [(level, getattr(socket, name), value) for name, level, value in _PROBES if hasattr(socket, name)]
    return httpx2.AsyncHTTPTransport(limits=limits, socket_options=probes, verify=tls_context())
