"""A scripted stand-in for the service's media websocket, and for the sandbox's control, on ports of this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sandbox.caller.caller import Caller
from sandbox.caller.score import Score, Step

RATE = 16000
CALL_ID = "call-1"


def tone(seconds: float, rate: int = RATE) -> bytes:
    """A loud 400 Hz tone as 16-bit PCM; loud from its first sample to its last but a few."""
    return (np.cos(2 * np.pi * 400 * np.arange(round(seconds * rate)) / rate) * 8000).astype("<i2").tobytes()


def tone_speech(text: str, language: str, sample_rate: int) -> bytes:
    """Speech of 20 ms for each letter."""
    return tone(0.02 * len(text), sample_rate)


def is_loud(frame: tuple[float, bytes]) -> bool:
    return bool((np.abs(np.frombuffer(frame[1], "<i2").astype(np.int32)) > 1000).any())


class Leg:
    """The service's side of one call, for a script to act with. Keeps everything the caller sent."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.start: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.audio: list[tuple[float, bytes]] = []
        """Loop seconds of arrival, and the frame."""
        self._grew = asyncio.Condition()

    async def ready(self) -> None:
        """Wait for ``start`` and answer it."""
        await self.until(lambda: bool(self.messages))
        self.start = self.messages[0]
        await self.send(type="ready", call_id=CALL_ID, format=self.start["format"])

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def say(self, pcm: bytes) -> None:
        """All at once, far ahead of real time."""
        await self.socket.send(pcm)

    async def end(self, reason: str = "agent_hangup") -> None:
        await self.send(type="end", reason=reason)
        await self.socket.close()

    async def expect(self, kind: str) -> dict[str, Any]:
        """The first message of the caller of that type, now or later."""
        await self.until(lambda: any(message["type"] == kind for message in self.messages))
        return next(message for message in self.messages if message["type"] == kind)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until what the caller has sent satisfies."""
        async with self._grew:
            await self._grew.wait_for(happened)

    async def until_caller_speaks(self) -> None:
        await self.until(lambda: any(map(is_loud, self.audio)))

    async def until_caller_has_spoken(self) -> None:
        """Until three silent frames have followed loud ones."""
        await self.until(lambda: any(map(is_loud, self.audio)) and not any(map(is_loud, self.audio[-3:])))

    async def read(self) -> None:
        """Keep what comes until the socket closes."""
        try:
            async for data in self.socket:
                async with self._grew:
                    if isinstance(data, bytes):
                        self.audio.append((asyncio.get_running_loop().time(), data))
                    else:
                        self.messages.append(json.loads(data))
                    self._grew.notify_all()
        except ConnectionClosed:
            return


Script = Callable[[Leg], Coroutine[Any, Any, None]]


class MediaServer:
    """Answers ``POST /media/sessions`` and control posts, and plays a script on each websocket."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.session_status = 201
        self.control_status = 201
        self.upgrade_status: int | None = None
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        """Path, headers with names in lower case, body."""
        self.legs: list[Leg] = []
        self.url = ""
        self.media_url = ""

    def posted(self, path_end: str) -> list[Any]:
        """Bodies of the posts to such a path, in order."""
        return [body for path, _, body in self.posts if path.endswith(path_end)]

    async def on_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        path = head[0].split()[1]
        self.posts.append((path, headers, body))
        status = self.session_status if path == "/media/sessions" else self.control_status
        answer = json.dumps(
            {"call_id": CALL_ID, "url": self.media_url}
            if status == 201
            else {"title": "No", "detail": "all lines are busy"}
        ).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)) + answer
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def on_upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(self.upgrade_status, "no") if self.upgrade_status else None

    async def on_socket(self, socket: ServerConnection) -> None:
        leg = Leg(socket)
        self.legs.append(leg)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(leg.read(), name="leg.reads")
            playing = tasks.create_task(self.script(leg), name="leg.plays")
            await reading
            playing.cancel()


@asynccontextmanager
async def media_server(script: Script) -> AsyncIterator[MediaServer]:
    """The server, listening."""
    server = MediaServer(script)
    async with (
        serve(server.on_socket, "127.0.0.1", 0, compression=None, process_request=server.on_upgrade) as sockets,
        await asyncio.start_server(server.on_http, "127.0.0.1", 0) as http,
    ):
        server.url = f"http://127.0.0.1:{http.sockets[0].getsockname()[1]}"
        server.media_url = f"ws://127.0.0.1:{sockets.sockets[0].getsockname()[1]}/media/{CALL_ID}?token=t"
        yield server


@asynccontextmanager
async def calling(script: Script, **options: Any) -> AsyncIterator[tuple[Caller, MediaServer]]:
    """A caller, and the service he calls."""
    async with media_server(script) as server, Caller(server.url, tone_speech, **options) as caller:
        yield caller, server


def score(*steps: Step, patience: float = 2.0, replies: tuple[dict[str, Any], ...] = ()) -> Score:
    return Score("test", "en", steps, replies, patience)


async def silent_service(leg: Leg) -> None:
    await leg.ready()
    await leg.expect("stop")
    await leg.end("caller_hangup")


async def answering_service(leg: Leg) -> None:
    """Answers the caller's first words with a tone of 100 ms."""
    await leg.ready()
    await leg.until_caller_has_spoken()
    await leg.say(tone(0.1))
    await leg.expect("stop")
    await leg.end("caller_hangup")
