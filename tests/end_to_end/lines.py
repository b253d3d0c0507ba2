"""A raw line to the service: what a client may send, right or wrong, without the manners of the simulated caller."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.end_to_end.service import RunningService

FRAME_SECONDS = 0.02
START: dict[str, Any] = {"type": "start", "format": {"encoding": "pcm_s16le", "sample_rate": 16000}}


def start(encoding: Any = "pcm_s16le", sample_rate: Any = 16000, **more: Any) -> dict[str, Any]:
    return {"type": "start", "format": {"encoding": encoding, "sample_rate": sample_rate}, **more}


class Line:
    """One websocket of one session."""

    def __init__(self, socket: ClientConnection, call_id: str) -> None:
        self.socket = socket
        self.call_id = call_id
        self.messages: list[dict[str, Any]] = []
        """Text messages received, parsed."""
        self.audio = b""

    async def send(self, message: Any) -> None:
        """Bytes and text as they are, anything else as JSON; nothing when the line is closed."""
        with suppress(ConnectionClosed):
            await self.socket.send(message if isinstance(message, bytes | str) else json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        """Receive up to the next message of that type."""
        while True:
            message = await self._receive()
            if message is not None and message["type"] == kind:
                return message

    async def closed(self) -> int:
        """Receive to the end; gives the close code."""
        try:
            while True:
                await self._receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def error(self) -> tuple[str | None, int]:
        """Receive to the end; gives the code of the error message, if there was one, and the close code."""
        code = await self.closed()
        errors = [message["code"] for message in self.messages if message["type"] == "error"]
        return (errors[0] if errors else None), code

    async def be_silent(self, seconds: float = 60.0, sample_rate: int = 16000) -> None:
        """Send silence in real time until then, or until the line is closed."""
        loop = asyncio.get_running_loop()
        began, frame = loop.time(), b"\x00\x00" * int(sample_rate * FRAME_SECONDS)
        for number in range(int(seconds / FRAME_SECONDS)):
            try:
                await self.socket.send(frame)
            except ConnectionClosed:
                return
            await asyncio.sleep(began + (number + 1) * FRAME_SECONDS - loop.time())

    def abort(self) -> None:
        """Vanish without a word."""
        self.socket.transport.abort()

    async def _receive(self) -> dict[str, Any] | None:
        data = await self.socket.recv()
        if isinstance(data, bytes):
            self.audio += data
            return None
        message: dict[str, Any] = json.loads(data)
        self.messages.append(message)
        return message


async def new_session(service: RunningService, **body: Any) -> dict[str, Any]:
    async with service.async_client() as http:
        answer = await http.post("/media/sessions", json={"events": "all", **body})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    session: dict[str, Any] = answer.json()
    return session


@asynccontextmanager
async def opened(url: str, call_id: str = "", **options: Any) -> AsyncIterator[Line]:
    """The websocket of an address. Raises InvalidStatus when the upgrade is refused."""
    defaults = {"compression": None, "proxy": None, "ping_interval": None, "close_timeout": 1, "max_size": None}
    async with connect(url, **{**defaults, **options}) as socket:
        yield Line(socket, call_id)


@asynccontextmanager
async def new_line(service: RunningService, first: Any = None, **options: Any) -> AsyncIterator[Line]:
    """A session and its websocket; ``first`` is sent, and if it is a good start, ``ready`` was received."""
    session = await new_session(service)
    async with opened(session["url"], session["call_id"], **options) as line:
        if first is not None:
            await line.send(first)
            await line.until("ready")
        yield line


async def record_of(service: RunningService, call_id: str) -> dict[str, Any]:
    async with service.async_client() as http:
        answer = await http.get(f"/calls/{call_id}")
    assert answer.status_code == httpx.codes.OK, answer.text
    record: dict[str, Any] = answer.json()
    return record


async def ended_record_of(service: RunningService, call_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """The record once the call has ended."""
    async with asyncio.timeout(seconds):
        while (record := await record_of(service, call_id))["status"] != "ended":
            await asyncio.sleep(0.02)
    return record
