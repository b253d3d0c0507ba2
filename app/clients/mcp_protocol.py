"""Speaks the Model Context Protocol (MCP) with one server, over streamable HTTP.

The only file that imports ``mcp``, which takes 1.6 s of the CPU and 27 MB: it is loaded when an agent has a server.

Each list and each call is a session of its own, in the task that wants it. So a cancelled call closes its connection, a
server that dies takes no other call with it, and each call has its own headers. Connections are shared. A server of
2026-07-28 needs one request for a call; one of 2025-03-26 to 2025-11-25, whose sessions have a beginning and an end,
three to five.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types
from mcp import Client, ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from app.clients.http_tools import ANSWER_BYTES_MAX, ToolAnswer, refusal
from app.clients.mcp_tools import ListedTool
from app.errors import ProviderError, ProviderProtocolError, ProviderUnavailable

# It logs what callers said: whole messages, and the answers that it cannot read.
logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)

_PROVIDER = "tools"
_BODY_BYTES_MAX = 1024 * 1024
"""Of one HTTP answer: a list of tools is longer than an answer."""
_PAGES_MAX = 10
_CLOSING_SECONDS = 0.5
"""The answer is there when a session is closed, so a server that hangs then does not delay it longer."""
_REFUSED = (mcp_types.INVALID_PARAMS, mcp_types.METHOD_NOT_FOUND)
"""Errors that say something about the call, and nothing about the server."""
_DONE = 200


class McpProtocol:
    """One server. All methods raise ProviderError, and nothing that was sent or received is in it."""

    def __init__(self, url: str, connections: httpx2.AsyncClient, version: str) -> None:
        """``version`` is that of the service, which introduces itself."""
        self._url = url
        self._connections = connections
        self._info = mcp_types.Implementation(name="voice-agent", version=version)
        self._mode = "auto"
        """The version of the protocol, once it is known; then nobody has to ask for it."""
        self._discovered: mcp_types.DiscoverResult | None = None

    async def list_tools(self, headers: Mapping[str, str]) -> list[ListedTool]:
        """All tools of the server, in its order."""
        listed: list[ListedTool] = []
        async with self._errors_mapped(), self._session(headers) as session:
            cursor: str | None = None
            for _ in range(_PAGES_MAX):
                page = await session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
                listed += map(_listed, page.tools)
                cursor = page.next_cursor
                if cursor is None:
                    return listed
        raise ProviderProtocolError(_PROVIDER, f"listed more than {_PAGES_MAX} pages of tools")

    async def call(self, name: str, arguments: Mapping[str, Any], headers: Mapping[str, str]) -> ToolAnswer:
        """Call a tool, once. An error of the tool is an answer, and so is one about its name or its arguments."""
        answer: ToolAnswer | None = None
        params = mcp_types.CallToolRequestParams(name=name, arguments=dict(arguments))
        try:
            async with self._errors_mapped(), self._session(headers) as session:
                request = mcp_types.CallToolRequest(params=params)
                # Not session.call_tool: that lists the tools before each first answer, to check it by their schemas.
                try:
                    answer = _answer(await session.send_request(request, mcp_types.CallToolResult))
                except MCPError as error:
                    if error.code not in _REFUSED:
                        raise
                    answer = ToolAnswer(_DONE, error.message, has_failed=True)
        except ProviderError:
            if answer is None:
                raise
        if answer is None:
            raise ProviderProtocolError(_PROVIDER, "closed the session before its answer")
        if len(answer.text.encode()) > ANSWER_BYTES_MAX:
            raise ProviderProtocolError(_PROVIDER, f"answered more than {ANSWER_BYTES_MAX} bytes")
        return answer

    @asynccontextmanager
    async def _session(self, headers: Mapping[str, str]) -> AsyncIterator[ClientSession]:
        guarded = _Guarded(self._connections, headers)
        http = httpx2.AsyncClient(
            transport=guarded,
            timeout=None,  # the whole call has a deadline
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )
        transport = streamable_http_client(self._url, http_client=http, max_sse_event_size=_BODY_BYTES_MAX)
        client = Client(transport, mode=self._mode, prior_discover=self._discovered, cache=None, client_info=self._info)
        try:
            async with client:
                self._discovered = client.session.discover_result
                self._mode = "legacy" if self._discovered is None else client.protocol_version
                yield client.session
        except Exception:  # whatever it was, it is raised again: only what was known of the server is forgotten
            self._mode, self._discovered = "auto", None  # it may be another server by now
            if guarded.problem is not None:
                raise guarded.problem from None
            raise

    @asynccontextmanager
    async def _errors_mapped(self) -> AsyncIterator[None]:
        try:
            yield
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's library, and a server that may answer anything
            raise _mapped(error) from None


def _mapped(error: BaseException) -> ProviderError:
    """What went wrong, without the words of the server."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case ProviderError():
            return error
        case MCPError(code=mcp_types.CONNECTION_CLOSED):
            return ProviderUnavailable(_PROVIDER, "broke off")
        case MCPError(code=code):
            return ProviderProtocolError(_PROVIDER, f"answered with the error {code}")
        case httpx2.HTTPError():
            return ProviderUnavailable(_PROVIDER, type(error).__name__)
        case _:
            return ProviderProtocolError(_PROVIDER, f"answered what cannot be read ({type(error).__name__})")


def _listed(tool: mcp_types.Tool) -> ListedTool:
    hints = tool.annotations or mcp_types.ToolAnnotations()
    return ListedTool(
        name=tool.name,
        description=tool.description or tool.title or tool.name,
        parameters=tool.input_schema,
        is_read_only=bool(hints.read_only_hint),
        is_idempotent=bool(hints.idempotent_hint),
    )


def _answer(result: mcp_types.CallToolResult) -> ToolAnswer:
    """The text of a result; other content appears as its kind."""
    parts = [part.text if isinstance(part, mcp_types.TextContent) else f"[{part.type}]" for part in result.content]
    if not parts and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(parts).encode("utf-8", "replace").decode()
    return ToolAnswer(_DONE, text, has_failed=result.is_error)


class _Guarded(httpx2.AsyncBaseTransport):
    """Sends the requests of one session over the shared connections, with the headers of its call."""

    def __init__(self, connections: httpx2.AsyncClient, headers: Mapping[str, str]) -> None:
        self._connections = connections
        self._headers = dict(headers)
        self.problem: ProviderError | None = None
        """Why it refused to read an answer. The library tells only that a stream of events broke off."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ProviderError for an answer of which nothing is to be read."""
        request.headers.update(self._headers)
        async with asyncio.timeout(_CLOSING_SECONDS if request.method == "DELETE" else None):
            response = await self._connections.send(request, stream=True)
        if (problem := refusal(_PROVIDER, response)) is not None:
            await response.aclose()
            self._note(request, problem)
            raise problem
        body = _Bounded(response, lambda problem: self._note(request, problem))
        return httpx2.Response(response.status_code, headers=response.headers, stream=body)

    def _note(self, request: httpx2.Request, problem: ProviderError) -> None:
        if request.method == "POST":  # not the stream of news, nor the end of a session
            self.problem = self.problem or problem


class _Bounded(httpx2.AsyncByteStream):
    """The body of an answer, up to a limit."""

    def __init__(self, response: httpx2.Response, on_problem: Callable[[ProviderError], None]) -> None:
        self._response = response
        self._on_problem = on_problem

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._response.aiter_raw():
            size += len(chunk)
            if size > _BODY_BYTES_MAX:
                problem = ProviderProtocolError(_PROVIDER, f"answered more than {_BODY_BYTES_MAX} bytes")
                self._on_problem(problem)
                raise problem
            yield chunk

    async def aclose(self) -> None:
        """Give the connection back, or close it."""
        await self._response.aclose()
