"""The service's connections with a small application behind them, in the loop of the test."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from routers.client_watch import ConnectionLimits, Unfinished
from routers.connections import BoundedHttp, BoundedWebSocket, bounded_http

PATIENCE_SECONDS = 60


@dataclass
class BareServer:
    """What it serves.

    ``/wait`` is answered when the test says so, ``/big`` has 16 MB, ``/ws`` is a websocket, ``/never`` one that nobody
    accepts, ``/flood`` one that is sent 16 MB; any other websocket is closed at once, and any other request gets its
    own method, headers and body.
    """

    port: int = 0
    state: ServerState = field(default_factory=ServerState)
    unfinished: Unfinished = field(default_factory=Unfinished)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application."""
        self.asked += 1
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        else:
            return
        if scope["path"] == "/wait":
            await self.may_answer.wait()
        described = json.dumps(
            [scope["method"], [[n.decode(), v.decode("latin-1")] for n, v in scope["headers"]], body.decode("latin-1")]
        )
        answer = bytes(16 << 20) if scope["path"] == "/big" else described.encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        message: Message = await receive()
        if scope["path"] != "/never":
            await send({"type": "websocket.accept"})
        if scope["path"] not in {"/ws", "/flood", "/never"}:
            await send({"type": "websocket.close", "code": 1000})
        while message["type"] != "websocket.disconnect":
            message = await receive()
            if scope["path"] == "/flood":
                await send({"type": "websocket.send", "bytes": bytes(16 << 20)})

    @property
    def connections(self) -> list[Any]:
        """Protocols of open connections."""
        return list(self.state.connections)

    @property
    def http(self) -> BoundedHttp:
        """The only connection."""
        (only,) = self.connections
        assert isinstance(only, BoundedHttp)
        return only

    async def asks(self, request: bytes) -> bytes:
        """All that is answered to those bytes, until the server closes the connection."""
        async with self.connected() as (reader, writer):
            writer.write(request)
            return await everything(reader)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A client, who goes without a word at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def silent_client(self) -> socket.socket:
        """A client that reads only on demand."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.port))
        return client

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():
                await asyncio.sleep(0)


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Until the server closes the connection, or resets it."""
    read = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while piece := await reader.read(1 << 16):
                read += piece
        except ConnectionResetError:
            pass
    return read


@asynccontextmanager
async def bare_server(**limits: Any) -> AsyncIterator[BareServer]:
    """It listens on a free port; ``limits`` are those of ConnectionLimits."""
    server = BareServer()
    http = bounded_http(ConnectionLimits(**limits))
    server.unfinished = http.keywords["unfinished"]
    config = uvicorn.Config(
        server, http=http, ws=BoundedWebSocket, lifespan="off", log_config=None, ws_ping_interval=None
    )
    config.load()

    def connection() -> BoundedHttp:
        made: BoundedHttp = http(config=config, server_state=server.state, app_state={})
        return made

    listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.may_answer.set()
        listener.close()
        for each in server.connections:
            each.transport.abort()
        await server.until(lambda: not server.state.connections)
        await asyncio.gather(*server.state.tasks)
