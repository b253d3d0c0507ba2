"""A uvicorn server inside a test's process."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn


class ReadyServer(uvicorn.Server):
    """Sets ``ready`` when it serves, and leaves the process's signals alone."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
