"""A real MCP server of the official package, over real HTTP, whose tools do what a test needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.running import serving


class McpEndpoint:
    """A schedule. Its tools are named for how they behave."""

    def __init__(self) -> None:
        self.url = ""
        self.server = MCPServer("schedule")
        self.called: list[str] = []
        """The names of the tools that were called, in order."""
        self.requests: list[dict[str, str]] = []
        """The headers of each request."""
        self.refuses: int | None = None
        """The status that all requests get, if they are not to be served."""
        self.fails_first = 0
        """How many calls the connection breaks off before one is answered."""
        self.speaks: str | None = None
        """The only version of the protocol that it speaks, one with a handshake; None for all."""
        self.began = 0
        """How many sessions began with a handshake."""
        self.hangs = asyncio.Event()
        for tool in (self.find_times, self.book, self.cancel, self.hang, self.tell_all, self.refuse):
            self.add(tool)

    def add(self, tool: Callable[..., Any]) -> None:
        """Offer a tool."""
        hints = {
            "find_times": ToolAnnotations(read_only_hint=True),
            "cancel": ToolAnnotations(idempotent_hint=True),
        }
        self.server.add_tool(tool, annotations=hints.get(tool.__name__))

    async def find_times(self, day: str) -> str:
        """Free times of a day."""
        self.called.append("find_times")
        return f"On {day}: ten, eleven"

    async def book(self, day: str) -> str:
        """Book a visit."""
        self.called.append("book")
        return "booked"

    async def cancel(self, day: str) -> str:
        """Cancel a visit."""
        self.called.append("cancel")
        return "cancelled"

    async def hang(self) -> str:
        """Never answer."""
        self.called.append("hang")
        self.hangs.set()
        await asyncio.sleep(1e6)
        return "never"

    async def tell_all(self, letters: int) -> str:
        """Say much."""
        self.called.append("tell_all")
        return "x" * letters

    async def refuse(self) -> str:
        """Report an error."""
        self.called.append("refuse")
        raise ValueError("closed on Sundays")

    def app(self, *, stateless: bool) -> ASGIApp:
        """The server as an application."""
        app = self.server.streamable_http_app(stateless_http=stateless, session_idle_timeout=None)

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
            if self.refuses is not None:
                await send({"type": "http.response.start", "status": self.refuses, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            if self.speaks is not None:
                scope, receive = await self._older(scope, receive, self.speaks)
            await app(scope, receive, self._breaking(send))

        return guarded

    async def _older(self, scope: Scope, receive: Receive, version: str) -> tuple[Scope, Receive]:
        """The request as a server of that version reads it: it knows no later ones, and agrees on its own."""
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        request = json.loads(body or "{}")
        if request.get("method") == "initialize":
            self.began += 1
            request["params"]["protocolVersion"] = version
            body = json.dumps(request).encode()
        known = [each.encode() for each in HANDSHAKE_PROTOCOL_VERSIONS]
        headers = [
            (name, str(len(body)).encode() if name == b"content-length" else value)
            for name, value in scope["headers"]
            if name != b"mcp-protocol-version" or value in known
        ]
        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def read() -> Message:
            return next(whole, None) or await receive()

        return {**scope, "headers": headers}, read

    def _breaking(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if self.called and self.fails_first > 0:
                self.fails_first -= 1
                raise ConnectionResetError
            await send(message)

        return sent


@asynccontextmanager
async def mcp_endpoint(*, stateless: bool = False, speaks: str | None = None) -> AsyncIterator[McpEndpoint]:
    """An MCP server on a free port, of all versions of the protocol or of one older one."""
    endpoint = McpEndpoint()
    endpoint.speaks = speaks
    app = Starlette(routes=[Mount("/", endpoint.app(stateless=stateless))])
    async with endpoint.server.session_manager.run(), serving(app) as url:
        endpoint.url = f"{url}/mcp"
        try:
            yield endpoint
        finally:
            await _end_watcher()


async def _end_watcher() -> None:
    """End the task with which ``sse_starlette`` watches for the end of its server, for as long as the loop runs."""
    names = {task: getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()}
    watchers = [task for task, name in names.items() if name == "_shutdown_watcher"]
    for task in watchers:
        task.cancel()
    if watchers:
        await asyncio.wait(watchers)
