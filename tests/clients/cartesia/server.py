"""A stand-in for Cartesia that does what a test says, on its own port, and keeps what it receives."""

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

RATE = 8000
SAMPLES_PER_LETTER = 80
"""10 ms of 8 kHz sound for each character of a transcript, spaces included."""


class Line:
    """One socket as the server sees it; messages as in https://docs.cartesia.ai/api-reference/tts/websocket."""

    def __init__(self, connection: ServerConnection, number: int) -> None:
        self.connection = connection
        self.number = number

    async def sends(self, message: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(message))

    async def sounds(self, context_id: str, audio: bytes) -> None:
        data = base64.b64encode(audio).decode()
        await self._tells("chunk", context_id, done=False, data=data, step_time=1.0)

    async def times(self, context_id: str, words: list[tuple[str, float, float]]) -> None:
        columns = dict(zip(("words", "start", "end"), map(list, zip(*words, strict=True)), strict=True))
        await self._tells("timestamps", context_id, done=False, word_timestamps=columns)

    async def ends(self, context_id: str) -> None:
        await self._tells("done", context_id, done=True)

    async def fails(self, context_id: str | None, status: int, code: str, message: str = "") -> None:
        error = {"type": "error", "done": True, "status_code": status, "error_code": code, "request_id": "req-1"}
        prose = {"title": "Trouble", "message": message}
        await self.sends(error | prose | ({"context_id": context_id} if context_id else {}))

    async def closes(self, code: int) -> None:
        await self.connection.close(code)

    def resets(self) -> None:
        """The kernel answers with RST, and forgets what was not yet delivered."""
        raw: socket.socket = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def _tells(self, kind: str, context_id: str, **fields: Any) -> None:
        await self.sends({"type": kind, "context_id": context_id, "status_code": 206, **fields})


Script = Callable[[Line, dict[str, Any]], Awaitable[None]]


class Speaker:
    """Speaks every transcript at once: one chunk, the times of its words, and ``done`` after the end of the text."""

    def __init__(self) -> None:
        self._spoken: dict[str, int] = {}

    async def __call__(self, line: Line, request: dict[str, Any]) -> None:
        context_id = request["context_id"]
        if request.get("cancel"):
            return
        if request["transcript"]:
            await self._speak(line, context_id, request["transcript"], request["output_format"]["encoding"])
        if not request["continue"]:
            await line.ends(context_id)

    async def _speak(self, line: Line, context_id: str, text: str, encoding: str) -> None:
        start = self._spoken.get(context_id, 0)
        self._spoken[context_id] = start + len(text)
        await line.sounds(context_id, sound_of(text, 1 if encoding == "pcm_mulaw" else 2))
        words, at = [], start
        for word in text.split():
            at = start + text.index(word, at - start)
            words.append((word, seconds_of(at), seconds_of(at + len(word))))
            at += len(word)
        await line.times(context_id, words)


def sound_of(text: str, sample_bytes: int = 2) -> bytes:
    """The sound that the speaker makes of a text: each character has its own bytes."""
    return b"".join(bytes([ord(letter) % 256]) * (SAMPLES_PER_LETTER * sample_bytes) for letter in text)


def seconds_of(characters: int) -> float:
    return characters * SAMPLES_PER_LETTER / RATE


@dataclass
class CartesiaServer:
    """What was received, and what to do next."""

    script: Script
    url: str = ""
    """A base URL with a path prefix."""
    received: list[dict[str, Any]] = field(default_factory=list)
    handshakes: list[Headers] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    refuses: tuple[int, dict[str, str]] | None = None
    """Status and headers for the next handshakes."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def texts(self) -> list[str]:
        return [request["transcript"] for request in self.received if request.get("transcript")]

    @property
    def cancelled(self) -> list[str]:
        return [request["context_id"] for request in self.received if request.get("cancel")]

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until it has happened; looks again after every message, handshake and closing."""
        async with asyncio.timeout(2):
            while not happened():
                self._news.clear()
                await self._news.wait()

    def is_closed(self, number: int) -> bool:
        return self.lines[number].connection.close_code is not None

    def shakes_hands(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request.headers)
        self.paths.append(request.path)
        self._news.set()
        if self.refuses is None:
            return None
        status, headers = self.refuses
        return Response(status, "Refused", Headers({**headers, "Content-Length": "0", "Connection": "close"}), b"")

    async def serves(self, connection: ServerConnection) -> None:
        line = Line(connection, len(self.lines))
        self.lines.append(line)
        with suppress(ConnectionClosed):
            async for message in connection:
                request = json.loads(message)
                self.received.append(request)
                self._news.set()
                await self.script(line, request)
        await connection.wait_closed()
        self._news.set()


@asynccontextmanager
async def cartesia_server(script: Script | None = None) -> AsyncIterator[CartesiaServer]:
    server = CartesiaServer(script or Speaker())
    async with serve(
        server.serves, "127.0.0.1", 0, process_request=server.shakes_hands, close_timeout=0.1, ping_interval=None
    ) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"http://127.0.0.1:{port}/cartesia"
        yield server


@dataclass
class BytesServer:
    """``POST /tts/bytes`` with one scripted answer (status, headers, body) after another; the last one is repeated."""

    answers: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    """Request line, headers in lower case, body."""
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def accepts(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self.connections.add(loop.create_task(self.serves(reader, writer), name="cartesia-bytes"))

    async def serves(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in head[1:] if row)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append((head[0], headers, json.loads(body)))
                status, extra, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                extra = {"Content-Length": str(len(answer)), **extra}
                rows = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
                writer.write(f"HTTP/1.1 {status} Status\r\n{rows}\r\n".encode() + answer)
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def bytes_server(*answers: tuple[int, dict[str, str], bytes]) -> AsyncIterator[BytesServer]:
    server = BytesServer(list(answers))
    async with await asyncio.start_server(server.accepts, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/cartesia"
        yield server
        async with asyncio.timeout(2):
            await asyncio.gather(*server.connections)  # they end when the client closes
