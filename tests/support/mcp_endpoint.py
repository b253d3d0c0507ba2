"""A real MCP server of the official package, over real HTTP, whose tools do what a test needs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
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
            await app(scope, receive, self._breaking(send))

        return guarded

    def _breaking(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if self.called and self.fails_first > 0:
                self.fails_first -= 1
                raise ConnectionResetError
            await send(message)

        return sent


@asynccontextmanager
async def mcp_endpoint(*, stateless: bool = False) -> AsyncIterator[McpEndpoint]:
    """An MCP server on a free port."""
    endpoint = McpEndpoint()
    app = Starlette(routes=[Mount("/", endpoint.app(stateless=stateless))])
    async with endpoint.server.session_manager.run(), serving(app) as url:
        endpoint.url = f"{url}/mcp"
        yield endpoint
