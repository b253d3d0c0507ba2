"""The agents' tools that MCP servers offer: their lists, kept up to date, and calls of them."""

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx2
import structlog

from app.backoff import Backoff
from app.clients.http_tools import NO_VALUES, HttpEndpoint, RequestValues, ToolAnswer, tool_connections
from app.clients.resilient import BaseResilientClient, ProviderObserver, RetryPolicy
from app.errors import ProviderError, ProviderTimeout
from app.models import ServiceHealth, worst_health

if TYPE_CHECKING:  # slow to import, and not always installed
    from app.clients.mcp_protocol import McpProtocol

log = structlog.get_logger(__name__)

_PACKAGE = "mcp"
_LISTING_SECONDS = 5.0
"""How long a server may take to list its tools."""
_FRESH_SECONDS = 60.0
"""How old a list may be."""
_REFERENCES = ("$ref", "$dynamicRef")
_BACKOFF = Backoff(first_seconds=1.0, max_seconds=30.0)


def mcp_problem() -> str | None:
    """Why no MCP server can be used here; None if they can."""
    if find_spec(_PACKAGE) is None:
        return f"the package {_PACKAGE} is not installed; install the service with its extra: pip install .[mcp]"
    return None


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as its server lists it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """The JSON schema of its arguments."""
    is_read_only: bool = False
    is_idempotent: bool = False
    problem: str | None = None
    """Why no model can be given it."""


def checked(tools: Iterable[ListedTool]) -> tuple[ListedTool, ...]:
    """The tools with what is wrong with their schemas. Takes about a millisecond for each."""
    return tuple(replace(tool, problem=next(_problems(tool.parameters), None)) for tool in tools)


def _problems(parameters: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator, SchemaError  # slow to import

    try:
        Draft202012Validator.check_schema(parameters)
        json.dumps(parameters, allow_nan=False)
        references = list(_references(parameters))
    except (SchemaError, ValueError, RecursionError):
        yield "its arguments have no valid JSON schema"
        return
    if parameters.get("type") != "object":
        yield "its arguments are no object"
    if not all(reference.startswith("#") for reference in references):
        yield "the schema of its arguments refers to another document"  # which a check would fetch


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield from (str(part[name]) for name in _REFERENCES if name in part)
    for value in part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ():
        yield from _references(value)


class McpServerClient(BaseResilientClient):
    """One server. Its own breaker keeps it from affecting other tools."""

    provider = "tools"

    def __init__(
        self,
        server: HttpEndpoint,
        connections: httpx2.AsyncClient,
        *,
        version: str,
        retry: RetryPolicy | None = None,
        observer: ProviderObserver | None = None,
    ) -> None:
        """``server`` has its name, address and fixed headers, and how long a call of a tool may take."""
        super().__init__(retry=retry, observer=observer)
        self.server = server
        self.tools: tuple[ListedTool, ...] | None = None
        """As they were listed last; None if they never were."""
        self._listed: Sequence[ListedTool] | None = None
        self._connections = connections
        self._version = version
        self._protocol: McpProtocol | None = None
        self._failed: str | None = None
        """Why the last listing failed."""
        self._listing_failures = 0
        self._due_at = 0.0

    async def refresh(self) -> bool:
        """List the tools, if that is due. Returns whether the list is another one. Logs a failure, and waits longer."""
        now = asyncio.get_running_loop().time()
        if now < self._due_at:
            return False
        self._due_at = now + _FRESH_SECONDS
        try:
            listed = await self.list_tools()
        except ProviderError as error:
            if self._failed != error.code:
                log.warning("mcp.not_listed", server=self.server.name, code=error.code, detail=error.reason)
            self._listing_failures += 1
            self._failed = error.code
            self._due_at = asyncio.get_running_loop().time() + _BACKOFF.delay(self._listing_failures)
            return False
        is_new = listed != self._listed
        if is_new or self._failed is not None:
            log.info("mcp.listed", server=self.server.name, tools=len(listed))
        if is_new:
            self.tools, self._listed = await asyncio.to_thread(checked, listed), listed
        self._failed, self._listing_failures = None, 0
        return is_new

    def list_soon(self) -> None:
        """List the tools in the next round, however new the list is. A server that fails waits for its turn."""
        if self._failed is None:
            self._due_at = 0.0

    async def list_tools(self) -> Sequence[ListedTool]:
        """What the server lists now. Raises ProviderError."""
        protocol = await self._loaded_protocol()
        async with self.attempt("list_tools", insist=True), asyncio.timeout(_LISTING_SECONDS):
            return await protocol.list_tools(self._headers(NO_VALUES))

    async def call(
        self,
        tool: ListedTool,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        tool_call_id: str,
        values: RequestValues = NO_VALUES,
    ) -> ToolAnswer:
        """Call a tool. It is called again after a failure only if it says that this does no harm.

        All within the server's ``timeout_seconds``. Raises ProviderError.
        """
        deadline = asyncio.get_running_loop().time() + self.server.timeout_seconds
        ids = {"X-Call-Id": call_id, "Idempotency-Key": f"{call_id}:{tool_call_id}"}
        headers = {**self._headers(values), **ids}
        protocol = await self._loaded_protocol()

        async def ask() -> ToolAnswer:
            async with asyncio.timeout_at(deadline):
                return await protocol.call(tool.name, arguments, headers)

        ask.__name__ = self.server.name
        if tool.is_read_only or tool.is_idempotent:
            answer: ToolAnswer = await self.make_request(ask)
            return answer
        async with self.attempt(self.server.name):
            return await ask()

    async def health_check(self) -> ServiceHealth:
        """The health as seen by the last requests. Without its list the server is degraded."""
        health = replace(await super().health_check(), name=f"mcp:{self.server.name}")
        if self.tools is None or self._failed is not None:
            detail = f"its tools cannot be listed: {self._failed}" if self._failed else "its tools are not listed yet"
            return replace(health, status="degraded", detail=detail)
        return health

    def _may_help(self, error: BaseException) -> bool:
        """Whether a retry may help; never after the deadline."""
        return super()._may_help(error) and not isinstance(error, ProviderTimeout)

    def _headers(self, values: RequestValues) -> dict[str, str]:
        hidden = {**self.server.headers, **values.headers}
        return {name: value.get_secret_value() for name, value in hidden.items()}

    async def _loaded_protocol(self) -> "McpProtocol":
        if self._protocol is None:
            module = await asyncio.to_thread(import_module, "app.clients.mcp_protocol")
            self._protocol = module.McpProtocol(self.server.url, self._connections, self._version)
        return self._protocol


class McpToolEndpoint:
    """One tool of a server, as a call sees it."""

    def __init__(self, client: McpServerClient, tool: ListedTool) -> None:
        self._client = client
        self._tool = tool

    async def call(
        self, arguments: Mapping[str, Any], *, call_id: str, tool_call_id: str, values: RequestValues
    ) -> ToolAnswer:
        """Call the tool. Raises ProviderError."""
        return await self._client.call(self._tool, arguments, call_id=call_id, tool_call_id=tool_call_id, values=values)


class McpServers:
    """One client for each server, made when an agent first needs it: equal servers share a client and its breaker."""

    def __init__(self, *, version: str, retry: RetryPolicy, observer: ProviderObserver) -> None:
        self._version = version
        self._retry = retry
        self._observer = observer
        self._connections: httpx2.AsyncClient | None = None
        self._clients: list[McpServerClient] = []

    @property
    def names(self) -> list[str]:
        """The names of the servers that have a client."""
        return list(dict.fromkeys(client.server.name for client in self._clients))

    def client(self, server: HttpEndpoint) -> McpServerClient:
        """The client of that server."""
        for client in self._clients:
            if client.server == server:
                return client
        if self._connections is None:
            self._connections = tool_connections()
        made = McpServerClient(
            server, self._connections, version=self._version, retry=self._retry, observer=self._observer
        )
        self._clients.append(made)
        return made

    def keep_only(self, servers: Collection[HttpEndpoint]) -> None:
        """Forget the others. Live calls keep their clients; the connections belong to all."""
        self._clients = [client for client in self._clients if client.server in servers]

    def list_soon(self) -> None:
        """List the tools of all servers in the next round."""
        for client in self._clients:
            client.list_soon()

    async def refresh(self, servers: Collection[HttpEndpoint]) -> bool:
        """List the tools of these servers where that is due, all at once. Returns whether a list has changed."""
        return any(await asyncio.gather(*(self.client(server).refresh() for server in servers)))

    async def health_check(self, name: str) -> ServiceHealth:
        """The worst health of the servers of that name. All is well when no agent has such a server any more."""
        checks = [await client.health_check() for client in self._clients if client.server.name == name]
        return worst_health(checks, default=ServiceHealth(f"mcp:{name}", "ok"))

    async def aclose(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.aclose()
