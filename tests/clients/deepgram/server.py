"""A Deepgram that plays a script, one stage for each socket, and keeps what it was sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

BYTES_A_SECOND = 32000
"""Of 16-bit samples at 16 kHz."""

Message = dict[str, Any] | str | bytes
Say = tuple[float, Message]
"""What to send once that many seconds of audio are here."""


@dataclass(frozen=True)
class Stage:
    """What happens to one attempt to open a socket."""

    says: tuple[Say, ...] = ()
    last_words: tuple[Message, ...] = ()
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    deaf: bool = False
    cut_after: float | None = None
    close: tuple[int, str] | None = None
    answers_close: bool = True
    greets: bool = True
    """As Flux does, at once; Nova has no greeting."""


def hears(*says: Say, last_words: tuple[Message, ...] = ()) -> Stage:
    """Sends what is to be said when its audio is here; ``last_words`` and a close when asked to finish."""
    return Stage(says=says, last_words=last_words)


def opens_only() -> Stage:
    """Opens the socket and hears, but does not even greet."""
    return Stage(greets=False)


def drops_after(seconds: float, *says: Say) -> Stage:
    """Cuts the connection without a word after that much audio."""
    return Stage(says=says, cut_after=seconds)


def closes(code: int, reason: str, *says: Say, after: float = 0.0) -> Stage:
    return Stage(says=says, cut_after=after, close=(code, reason))


def answers(status: int, **headers: str) -> Stage:
    """Refuses the socket; ``retry_after="1"`` is the header Retry-After."""
    return Stage(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def hangs() -> Stage:
    """Takes the connection and never answers the handshake."""
    return Stage(hangs=True)


def stalls() -> Stage:
    """Opens the socket, then reads nothing more, not even a ping or a close: a half-open connection."""
    return Stage(deaf=True)


def ignores_finish(*says: Say) -> Stage:
    """Hears, but never answers when it is asked to finish."""
    return Stage(says=says, answers_close=False)


class Session:
    """One socket, as the server saw it."""

    def __init__(self, stage: Stage, request: Request) -> None:
        self.stage = stage
        parts = urlsplit(request.path)
        self.path = parts.path
        self.query = parse_qsl(parts.query)
        self.authorization = request.headers.get("Authorization")
        self.extensions = request.headers.get("Sec-WebSocket-Extensions")
        self.audio = bytearray()
        self.pieces: list[bytes] = []
        self.texts: list[dict[str, Any]] = []
        self.said = 0

    @property
    def seconds(self) -> float:
        return len(self.audio) / BYTES_A_SECOND


class DeepgramServer:
    def __init__(self, stages: tuple[Stage, ...]) -> None:
        self._stages = list(stages)
        self._by_connection: dict[ServerConnection, Session] = {}
        self._over = asyncio.Event()
        self._changed = asyncio.Condition()
        self.sessions: list[Session] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/deepgram"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the server has seen makes it true."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _decide(self, connection: ServerConnection, request: Request) -> Response | None:
        stage = self._stages.pop(0) if self._stages else hears()
        session = self._by_connection[connection] = Session(stage, request)
        self.sessions.append(session)
        await self._tell()
        if stage.hangs:
            await self._over.wait()
        if stage.status is None:
            return None
        return Response(stage.status, "Refused", Headers({"Content-Length": "0", **stage.headers}), b"")

    async def _converse(self, connection: ServerConnection) -> None:
        session = self._by_connection[connection]
        if session.stage.deaf:
            connection.transport.pause_reading()
            await self._over.wait()
            return
        try:
            if session.stage.greets and session.path.endswith("/v2/listen"):
                await self._send(connection, {"type": "Connected", "sequence_id": 0})
            if await self._step(connection, session):
                return
            async for raw in connection:
                ended = await self._take(connection, session, raw)
                await self._tell()
                if ended:
                    return
        except ConnectionClosed:
            return

    async def _take(self, connection: ServerConnection, session: Session, raw: str | bytes) -> bool:
        if isinstance(raw, bytes):
            assert raw, "an empty message means the end to Deepgram"
            session.audio += raw
            session.pieces.append(raw)
            return await self._step(connection, session)
        session.texts.append(json.loads(raw))
        if session.texts[-1]["type"] != "CloseStream" or not session.stage.answers_close:
            return False
        await self._send(connection, *session.stage.last_words)
        await connection.close()
        return True

    async def _step(self, connection: ServerConnection, session: Session) -> bool:
        """Send what is due; True when the socket is gone."""
        stage = session.stage
        due = [message for seconds, message in stage.says[session.said :] if seconds <= session.seconds + 1e-9]
        session.said += len(due)
        await self._send(connection, *due)
        if stage.cut_after is None or session.seconds < stage.cut_after:
            return False
        if stage.close:
            await connection.close(*stage.close)
        else:
            connection.transport.abort()
        return True

    async def _send(self, connection: ServerConnection, *messages: Message) -> None:
        for message in messages:
            await connection.send(json.dumps(message) if isinstance(message, dict) else message)

    async def serve(self) -> Server:
        return await serve(
            self._converse,
            "127.0.0.1",
            0,
            process_request=self._decide,
            process_response=lambda connection, request, response: response.headers.__setitem__(
                "dg-request-id", f"request-{len(self.sessions)}"
            ),
            close_timeout=0.1,
        )

    def end(self) -> None:
        self._over.set()


@asynccontextmanager
async def deepgram(*stages: Stage) -> AsyncIterator[DeepgramServer]:
    """A server whose n-th socket plays the n-th stage; sockets beyond the script hear and say nothing."""
    server = DeepgramServer(stages)
    listening = await server.serve()
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.end()
        listening.close()
        await listening.wait_closed()


def flux(event: str, text: str = "", *, start: float = 0.0, end: float = 0.5, **more: Any) -> dict[str, Any]:
    """A TurnInfo whose words lie evenly between start and end."""
    return {
        "type": "TurnInfo",
        "request_id": "flux-request",
        "sequence_id": 1,
        "event": event,
        "turn_index": 0,
        "audio_window_start": start,
        "audio_window_end": end,
        "transcript": text,
        "words": _words(text, start, end),
        "end_of_turn_confidence": 0.5,
        **more,
    }


def nova(text: str, *, start: float = 0.0, end: float = 0.5, final: bool = False, **more: Any) -> dict[str, Any]:
    """A Results message; ``speech_final`` and the like go in ``more``."""
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": start,
        "duration": end - start,
        "is_final": final,
        "speech_final": False,
        "from_finalize": False,
        "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": _words(text, start, end)}]},
        "metadata": {"request_id": "nova-request"},
        **more,
    }


def utterance_end(last_word_end: float) -> dict[str, Any]:
    return {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last_word_end}


def _words(text: str, start: float, end: float) -> list[dict[str, Any]]:
    words = text.split()
    length = (end - start) / len(words) if words else 0.0
    return [
        {"word": word, "start": start + index * length, "end": start + (index + 1) * length, "confidence": 0.9}
        for index, word in enumerate(words)
    ]
