"""The agent's tools that are third-party HTTP endpoints."""

import asyncio
import http.cookiejar
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote

import httpx2
from pydantic import SecretStr

from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.clients.tls import tls_context
from app.clients.traces import TraceHeaders, no_trace
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from app.models import ServiceHealth, worst_health
from app.observability.trace_ids import tool_key

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

ANSWER_BYTES_MAX = 16 * 1024
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
"""Methods that may be repeated: twice has the same effect as once (RFC 9110, 9.2.2)."""
_WITHOUT_BODY = frozenset({"GET", "DELETE"})
_LIMITS = httpx2.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=60)
_REFUSED = frozenset({401, 403, 407})
_TOO_MANY = 429
_SERVER_ERRORS = 500


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """A tool's address and how to call it. Callers' words never become part of the host or path."""

    name: str
    method: Method
    url: str
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    timeout_seconds: float = 3.0
    """For the whole request, retries included."""


@dataclass(frozen=True, slots=True)
class RequestValues:
    """What the requests of one call have besides the model's arguments, which cannot replace any of it."""

    query: tuple[tuple[str, str], ...] = ()
    """Names and values of parameters of the address."""
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""

    @property
    def names(self) -> frozenset[str]:
        """The names that the model's arguments cannot have, normalised by :func:`fixed_name`."""
        return frozenset(map(fixed_name, (*dict(self.query), *self.arguments)))


NO_VALUES = RequestValues()


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """An endpoint's answer."""

    status: int
    text: str
    has_failed: bool = False
    """Whether the answer says that it did not work, whatever its status."""

    @property
    def ok(self) -> bool:
        """Whether the endpoint did what was asked."""
        return httpx2.codes.is_success(self.status) and not self.has_failed


def url_problem(url: str) -> str | None:
    """What is wrong with a tool's address; None when nothing is."""
    try:
        read = httpx2.URL(url)
    except httpx2.InvalidURL:
        return "is not an address"
    if any(map(str.isspace, url)):
        return "is not an address: it contains a space"
    if read.scheme not in ("http", "https") or not read.host:
        return "is not an address that begins with https:// or http://"
    if read.userinfo:
        return "contains a password; put it into a header, as ${NAME}"
    return "has a fragment (#...), which is never sent" if read.fragment else None


def shown_address(url: str, more: Iterable[str] = ()) -> str:
    """An address as it may be stored and shown: its query has names alone, because a value may be a secret.

    ``more`` are names of parameters that are added in each call. ``https://x.org/visits?day=…&key=…``.
    """
    read = httpx2.URL(url)
    names = dict.fromkeys((*read.params.keys(), *more))
    query = "&".join(f"{quote(name)}=…" for name in names)
    return f"{read.copy_with(query=None, fragment=None, userinfo=b'')}{'?' if query else ''}{query}"


def fixed_names(url: str) -> frozenset[str]:
    """The names in the query of a tool's address, normalised by :func:`fixed_name`."""
    return frozenset(fixed_name(name) for name in httpx2.URL(url).params)


def fixed_name(name: str) -> str:
    """Normalise a name as endpoints may read it: case-insensitive, and ``tenant[]`` as ``tenant``."""
    return name.partition("[")[0].strip().casefold()


def tool_connections() -> httpx2.AsyncClient:
    """The HTTP client that all tools share. It follows no redirects and keeps no cookies, so calls stay separate."""
    return httpx2.AsyncClient(
        verify=tls_context(),
        limits=_LIMITS,
        timeout=None,  # every request has its own deadline
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=())),
        # A small compressed answer may expand to a huge one.
        headers={"Accept": "application/json, text/plain;q=0.9, */*;q=0.1", "Accept-Encoding": "identity"},
    )


def refusal(provider: str, response: httpx2.Response) -> ProviderError | None:
    """Why nothing is to be read of a response, by its status and headers; None if it is an answer."""
    status = response.status_code
    if status >= _SERVER_ERRORS:
        return ProviderUnavailable(provider, f"answered {status}")
    if status == _TOO_MANY:
        wait = retry_after_seconds(response.headers.get("retry-after"))
        return ProviderRateLimited(provider, f"answered {status}", retry_after=wait)
    if status in _REFUSED:
        return ProviderRejected(provider, f"answered {status}", status=status)
    if response.headers.get("content-encoding", "identity") != "identity":
        return ProviderProtocolError(provider, "compressed the answer, which was not asked for")
    return None


class HttpToolClient(BaseResilientClient):
    """Calls one endpoint over shared connections. Its own breaker keeps a bad tool from affecting the others."""

    provider = "tools"

    def __init__(
        self,
        endpoint: HttpEndpoint,
        connections: httpx2.AsyncClient,
        *,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
        traced: TraceHeaders = no_trace,
    ) -> None:
        super().__init__(retry=retry, observer=observer)
        self._traced = traced
        self.endpoint = endpoint
        self._connections = connections

    async def call(
        self,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        tool_call_id: str,
        values: RequestValues = NO_VALUES,
    ) -> ToolAnswer:
        """Call the tool: GET and DELETE send the arguments in the query, other methods as a JSON body.

        Arguments whose name the address or ``values`` already fix are dropped. A 4xx status is an answer too, except
        401, 403, 407 and 429. Only idempotent methods are retried, within ``timeout_seconds``. Raises ProviderError.
        """
        deadline = asyncio.get_running_loop().time() + self.endpoint.timeout_seconds
        traced = self._traced(call_id, tool_key(tool_call_id))
        ids = {"X-Call-Id": call_id, "Idempotency-Key": f"{call_id}:{tool_call_id}", **traced}
        request = self._request(arguments, ids, values)

        async def ask() -> ToolAnswer:
            async with asyncio.timeout_at(deadline):
                return await self._ask(request)

        ask.__name__ = self.endpoint.name
        if self.endpoint.method in _IDEMPOTENT:
            answer: ToolAnswer = await self.make_request(ask)
            return answer
        async with self.attempt(self.endpoint.name):
            return await ask()

    async def health_check(self) -> ServiceHealth:
        """The health as seen by the last requests, under the tool's name."""
        return replace(await super().health_check(), name=f"tool:{self.endpoint.name}")

    def map_error(self, error: Exception) -> ProviderError | None:
        """Map an error; None for a bug of our own. The mapped error contains nothing that was sent or received."""
        if isinstance(error, httpx2.HTTPError):
            return ProviderUnavailable(self.provider, type(error).__name__)
        return super().map_error(error)

    def _may_help(self, error: BaseException) -> bool:
        """Whether a retry may help; never after the deadline."""
        return super()._may_help(error) and not isinstance(error, ProviderTimeout)

    def _request(
        self, arguments: Mapping[str, Any], headers: Mapping[str, str], values: RequestValues
    ) -> Callable[[], httpx2.Request]:
        endpoint = self.endpoint
        fixed = fixed_names(endpoint.url) | values.names
        of_model = {name: value for name, value in arguments.items() if fixed_name(name) not in fixed}
        arguments = {**of_model, **values.arguments}
        hidden = {**endpoint.headers, **values.headers}
        secrets = {name: value.get_secret_value() for name, value in hidden.items()}
        query = [*values.query, *(_query(arguments) if endpoint.method in _WITHOUT_BODY else ())]
        url = httpx2.URL(endpoint.url)
        url = url.copy_with(params=[*url.params.multi_items(), *query]) if query else url
        body = None if endpoint.method in _WITHOUT_BODY else arguments
        return lambda: self._connections.build_request(endpoint.method, url, headers={**secrets, **headers}, json=body)

    async def _ask(self, request: Callable[[], httpx2.Request]) -> ToolAnswer:
        response = await self._connections.send(request(), stream=True)
        try:
            self._check(response)
            return ToolAnswer(response.status_code, await self._text(response))
        finally:
            await response.aclose()

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if (problem := refusal(self.provider, response)) is not None:
            raise problem
        if response.has_redirect_location or status < httpx2.codes.OK:
            raise ProviderRejected(self.provider, f"answered {status}; redirects are not followed", status=status)

    async def _text(self, response: httpx2.Response) -> str:
        body = bytearray()
        async with aclosing(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise ProviderProtocolError(self.provider, f"answered more than {ANSWER_BYTES_MAX} bytes")
        return _decoded(bytes(body), response.charset_encoding or "utf-8")


class HttpToolClients:
    """One client for each endpoint, made when an agent first needs it: equal endpoints share a breaker."""

    def __init__(self, *, retry: RetryPolicy, observer: ProviderObserver, traced: TraceHeaders = no_trace) -> None:
        self._retry = retry
        self._traced = traced
        self._observer = observer
        self._connections: httpx2.AsyncClient | None = None
        self._clients: list[HttpToolClient] = []

    @property
    def names(self) -> list[str]:
        """The names of the tools that have a client."""
        return list(dict.fromkeys(client.endpoint.name for client in self._clients))

    def client(self, endpoint: HttpEndpoint) -> HttpToolClient:
        """The client of that endpoint."""
        for client in self._clients:
            if client.endpoint == endpoint:
                return client
        if self._connections is None:
            self._connections = tool_connections()
        made = HttpToolClient(
            endpoint, self._connections, retry=self._retry, observer=self._observer, traced=self._traced
        )
        self._clients.append(made)
        return made

    def keep_only(self, endpoints: Collection[HttpEndpoint]) -> None:
        """Forget the others. Live calls keep their clients; the connections belong to all."""
        self._clients = [client for client in self._clients if client.endpoint in endpoints]

    async def health_check(self, name: str) -> ServiceHealth:
        """The worst health of the endpoints of that name. All is well when no agent has such a tool any more."""
        none = ServiceHealth(f"tool:{name}", "ok")
        checks = [await client.health_check() for client in self._clients if client.endpoint.name == name]
        return worst_health(checks, default=none)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.aclose()


def _decoded(body: bytes, charset: str) -> str:
    """Decode to valid Unicode: some of Python's charsets always fail, and one yields lone surrogates."""
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def _query(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Query parameters: a list repeats the name, an object becomes JSON, null is left out."""
    for name, value in arguments.items():
        for part in value if isinstance(value, list) else [value]:
            if part is not None:
                yield name, part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
