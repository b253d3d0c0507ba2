"""Serves the sandbox on this machine, inside the running event loop."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette

from sandbox.vendors.app import create_sandbox
from sandbox.vendors.stage import LIMITS, Limits, Stage

_STOPS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is being served, and its addresses."""

    url: str
    stage: Stage

    @property
    def deepgram_base_url(self) -> str:
        """For ``DEEPGRAM_BASE_URL``."""
        return f"{self.url}/deepgram"

    @property
    def openai_base_url(self) -> str:
        """For ``OPENAI_BASE_URL``; ends in ``/v1``."""
        return f"{self.url}/openai/v1"

    @property
    def cartesia_base_url(self) -> str:
        """For ``CARTESIA_BASE_URL``."""
        return f"{self.url}/cartesia"

    def addresses(self) -> dict[str, str]:
        """All addresses by name."""
        return {
            "url": self.url,
            "deepgram_base_url": self.deepgram_base_url,
            "openai_base_url": self.openai_base_url,
            "cartesia_base_url": self.cartesia_base_url,
        }


@asynccontextmanager
async def running_sandbox(
    *,
    profile: str = "instant",
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: Limits = LIMITS,
    listens: bool = False,
) -> AsyncIterator[RunningSandbox]:
    """Serve until the context exits; port 0 is any free one. Leaves no task, no socket, no signal handler behind."""
    app = create_sandbox(profile=profile, seed=seed, limits=limits, listens=listens)
    async with serving(app, host=host, port=port) as url:
        yield RunningSandbox(url, app.state.stage)


@asynccontextmanager
async def serving(app: Starlette, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve an application until the context exits; yields its address. ``app.state.hang_up`` drops a peer."""
    listener = socket.create_server((host, port), backlog=512)
    # The sockets that it accepts inherit this. asyncio sets it only where it knows the protocol, and here it does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
    )
    server = _Server(config)
    app.state.hang_up = server.hang_up
    await server.begin(listener)
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        await server.end()


class _Server(uvicorn.Server):
    """uvicorn without its tick loop and its signal handlers, and with a method that drops a connection."""

    async def begin(self, listener: socket.socket) -> None:
        """Start accepting connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listener])

    async def end(self) -> None:
        """Stop accepting, close every connection, and wait for its tasks."""
        for accepting in self.servers:
            accepting.close()
        tasks = set(self.server_state.tasks)
        for connection in list(self.server_state.connections):
            connection.shutdown()
            if not connection.transport.is_closing():
                connection.transport.abort()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOPS_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the loop calls connection_lost one iteration later

    def hang_up(self, client: Any, *, reset: bool = False) -> None:
        """Drop the connection of a peer address; with ``reset`` by RST, so that unread data is lost."""
        for connection in list(self.server_state.connections):
            if connection.transport.get_extra_info("peername")[:2] == tuple(client):
                if reset:
                    raw: socket.socket = connection.transport.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.transport.abort()
