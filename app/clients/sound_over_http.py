"""Sound as the body of an HTTP answer, while it arrives."""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import httpx2

from app.clients.tls import tls_context
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable

_ERROR_BYTES_MAX = 64 * 1024
_NO_SOUND = ("text/", "application/json", "application/problem+json")
"""Content types of answers that nobody should hear."""

OnHeaders = Callable[[Mapping[str, str]], None]

ErrorOf = Callable[[int, Mapping[str, str], bytes], ProviderError]
"""The failure that a status, headers and a body mean to a vendor."""


class SoundOverHttp:
    """Connections to one vendor that answers ``POST`` with sound. They open with the first request and stay open."""

    def __init__(
        self,
        provider: str,
        *,
        connect_seconds: float,
        silence_seconds: float,
        error_of: ErrorOf,
        on_headers: OnHeaders,
    ) -> None:
        """``silence_seconds`` is the longest silence during an answer; ``on_headers`` is called with its headers."""
        self._on_headers = on_headers
        self._provider = provider
        self._error_of = error_of
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(silence_seconds, connect=connect_seconds), verify=tls_context(), trust_env=False
        )

    async def post(
        self, url: str, headers: Mapping[str, str], body: Mapping[str, Any], *, query: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of the answer as they arrive. Raises ProviderError, without the vendor's prose."""
        request = self._http.stream("POST", url, headers=dict(headers), json=dict(body), params=dict(query or {}))
        try:
            async with request as response:
                self._on_headers(response.headers)
                if response.status_code != httpx2.codes.OK:
                    raise self._error_of(response.status_code, response.headers, await _beginning(response))
                if response.headers.get("content-type", "").startswith(_NO_SOUND):
                    raise ProviderProtocolError(self._provider, "an answer that is no sound")
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx2.TimeoutException as error:
            detail = f"no answer before the deadline ({type(error).__name__})"
            raise ProviderTimeout(self._provider, detail) from None
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(self._provider, f"no connection ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _beginning(response: httpx2.Response) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > _ERROR_BYTES_MAX:
            break
    return body
