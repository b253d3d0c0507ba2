"""A client of the native media protocol: opens a session over HTTP, then talks over its websocket.

Errors
------
CallFailed          the call did not follow the score
├── CallRefused     the service refuses the call with an HTTP status, for the session or the websocket's upgrade
├── CallBroken      the line broke: an ``error`` message, or a close without an ``end`` before it
└── StepFailed      the agent did not do what a step of the score waits for
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from sandbox.caller.media_format import MediaFormat
from sandbox.caller.report import CallReport
from sandbox.vendors.encodings import Samples

_MESSAGE_LIMIT_BYTES = 1 << 20
_CLOSE_SECONDS = 2.0
_RESUME_SECONDS = 10.0
"""How long a call waits for its client."""
_RESUME_AGAIN_SECONDS = 0.05


class CallFailed(Exception):
    """The call did not follow the score."""

    report: CallReport | None = None
    """How far the call got; None: it did not begin."""


class CallRefused(CallFailed):
    """The service refuses the call."""

    def __init__(self, status: int, where: str, detail: str) -> None:
        self.status = status
        """HTTP status: 401, 403, 409, 422, 429, 503 ..."""
        super().__init__(f"the {where} was refused with {status}: {detail}")


class CallBroken(CallFailed):
    """The line broke."""

    def __init__(self, message: str, *, code: str | None = None, close_code: int | None = None) -> None:
        self.code = code
        """The code of the service's error message, such as ``audio_too_fast``; None: the socket just closed."""
        self.close_code = close_code
        super().__init__(message)


class StepFailed(CallFailed):
    """The agent did not do what a step of the score waits for."""


@dataclass(frozen=True, slots=True)
class MediaSession:
    """The right to open one websocket for one call."""

    call_id: str
    url: str
    twiml: str = ""
    """The TwiML to answer Twilio with, for a call through Twilio instead."""
    sandbox_url: str | None = None
    """Where the stand-ins behind the service take orders; None: real vendors are behind it."""


@dataclass(frozen=True, slots=True)
class AgentAudio:
    """Sound of the agent."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class AgentMark:
    """A mark to echo when the sound before it has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearRequested:
    """The service wants unplayed sound discarded."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row of the call's journal, as written."""

    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The service ended the call; the socket closes next."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """The call has begun, or goes on."""

    resume_token: str | None


@dataclass(frozen=True, slots=True)
class _Error:
    """The service reports an error; the socket closes next."""

    code: str
    message: str


ServiceMessage = AgentAudio | AgentMark | ClearRequested | JournalRow | CallEnded


async def open_session(
    http: httpx.AsyncClient, service_url: str, body: Mapping[str, Any], api_key: str | None
) -> MediaSession:
    """``POST /media/sessions``. Raises CallRefused for any status but 201, CallFailed without an answer."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    wanted = {"events": "all", **body}
    try:
        response = await http.post(f"{service_url.rstrip('/')}/media/sessions", json=wanted, headers=headers)
    except httpx.HTTPError as error:
        raise CallFailed(f"the service cannot be reached: {type(error).__name__}") from error
    if response.status_code != httpx.codes.CREATED:
        raise CallRefused(response.status_code, "session", _problem(response))
    session = response.json()
    return MediaSession(session["call_id"], session["url"], session.get("twiml", ""), session.get("sandbox"))


def _problem(response: httpx.Response) -> str:
    """The text of an RFC 9457 problem document."""
    try:
        problem = response.json()
    except ValueError:
        return response.reason_phrase
    if not isinstance(problem, dict):
        return response.reason_phrase
    return str(problem.get("detail") or problem.get("title") or response.reason_phrase)


@asynccontextmanager
async def media_socket(
    session: MediaSession, media_format: MediaFormat, *, events: bool, ready_seconds: float = 10.0
) -> AsyncIterator["MediaClient"]:
    """Connect, send ``start`` and wait for ``ready``; the socket closes when the context exits.

    Raises CallRefused when the service refuses the upgrade, CallBroken when the call is not ready in time.
    """
    socket = await _connected(session.url, ready_seconds)
    client = MediaClient(socket, session, media_format, ready_seconds=ready_seconds)
    try:
        try:
            async with asyncio.timeout(ready_seconds):
                await client.start(events=events)
        except TimeoutError as error:
            raise CallBroken(f"the call was not ready after {ready_seconds:g} s") from error
        yield client
    finally:
        await client.close()


async def _connected(url: str, seconds: float) -> ClientConnection:
    """An open websocket. Raises CallRefused, CallFailed."""
    try:
        return await connect(
            url,
            compression=None,
            proxy=None,
            ping_interval=None,
            open_timeout=seconds,
            close_timeout=_CLOSE_SECONDS,
            max_size=_MESSAGE_LIMIT_BYTES,
        )
    except InvalidStatus as refusal:
        status = refusal.response.status_code
        raise CallRefused(status, "websocket", refusal.response.reason_phrase) from refusal
    except (OSError, TimeoutError, WebSocketException) as error:
        raise CallFailed(f"the websocket cannot be opened: {type(error).__name__}") from error


class MediaClient:
    """The client's end of a media websocket. Sending after it has closed does nothing; :meth:`messages` reports it.

    A socket that is lost is replaced: :meth:`messages` goes on with the call over another one, for 10 s.
    """

    def __init__(
        self, socket: ClientConnection, session: MediaSession, media_format: MediaFormat, *, ready_seconds: float
    ) -> None:
        self.call_id = session.call_id
        self.resumptions = 0
        """How often a lost socket was replaced."""
        self._door = session.url.partition("?")[0]
        self._token: str | None = None
        """What the next socket is opened with; None if a lost one is not replaced."""
        self._ready_seconds = ready_seconds
        self._wants_events = False
        self.format = media_format
        self.ready_at = 0.0
        """The loop's clock when the first ``ready`` was received."""
        self._socket = socket
        self._early: list[ServiceMessage] = []
        self._error: _Error | None = None

    @property
    def close_code(self) -> int | None:
        """The websocket's close code, once it is closed."""
        return self._socket.close_code

    async def start(self, *, events: bool) -> None:
        """Begin the call, or go on with it, and wait until it is ready. Raises CallBroken."""
        self._wants_events = events
        wire_format = {"encoding": self.format.encoding, "sample_rate": self.format.sample_rate}
        await self._send({"type": "start", "format": wire_format, "events": events})
        try:
            while not isinstance(message := await self._receive(), _Ready):
                self._early.append(message)
            self._token = message.resume_token
        except ConnectionClosed as closed:
            raise self._broken(closed) from closed
        self.ready_at = self.ready_at or asyncio.get_running_loop().time()

    async def messages(self) -> AsyncIterator[ServiceMessage]:
        """The service's messages, to the end of the call. Raises CallBroken when the end was not announced."""
        ended = False
        while True:
            while self._early:
                yield self._early.pop(0)
            try:
                while True:
                    async with asyncio.timeout(_CLOSE_SECONDS if ended else None):
                        received = await self._receive()
                    if not isinstance(received, _Ready):
                        ended = ended or isinstance(received, CallEnded)
                        yield received
            except TimeoutError:
                return  # the end was announced; media_socket closes the socket
            except ConnectionClosed as closed:
                if ended and not self._error:
                    return
                if self._error or closed.rcvd is not None or not await self._resume():
                    raise self._broken(closed) from closed

    async def _resume(self) -> bool:
        """Go on over another socket. False when the call is over, or the service does not come back in time."""
        clock = asyncio.get_running_loop().time
        until = clock() + _RESUME_SECONDS
        while self._token is not None and clock() < until:
            try:
                self._socket = await _connected(f"{self._door}?token={self._token}", self._ready_seconds)
                async with asyncio.timeout(self._ready_seconds):
                    await self.start(events=self._wants_events)
            except CallRefused:
                return False
            except (CallFailed, TimeoutError):
                await asyncio.sleep(_RESUME_AGAIN_SECONDS)
            else:
                self.resumptions += 1
                return True
        return False

    async def send_audio(self, audio: bytes) -> None:
        """Send sound in the format of the call."""
        await self._send(audio)

    async def send_digit(self, digit: str) -> None:
        """Send a key press."""
        await self._send({"type": "dtmf", "digit": digit})

    async def send_text(self, text: str) -> None:
        """Send what the caller types instead of saying it."""
        await self._send({"type": "text", "text": text})

    async def send_mark(self, name: str) -> None:
        """Report that the sound before a mark has been played."""
        await self._send({"type": "mark", "name": name})

    async def send_cleared(self, played_samples: int) -> None:
        """Report how much had been played when the rest was discarded."""
        await self._send({"type": "cleared", "played_samples": played_samples})

    async def send_stop(self) -> None:
        """End the call."""
        await self._send({"type": "stop"})

    def reset(self) -> None:
        """Break the connection without a close frame, and do not come back."""
        self._token = None
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close the socket, and do not come back."""
        self._token = None
        await self._socket.close()

    async def _send(self, message: bytes | dict[str, Any]) -> None:
        try:
            await self._socket.send(message if isinstance(message, bytes) else json.dumps(message))
        except ConnectionClosed:
            return  # messages() raises the same with the reason

    async def _receive(self) -> ServiceMessage | _Ready:
        """The next known message; an error is kept for the close that follows it."""
        while True:
            message = self._parsed(await self._socket.recv())
            if isinstance(message, _Error):
                self._error = message
            elif message is not None:
                return message

    def _parsed(self, data: str | bytes) -> ServiceMessage | _Ready | _Error | None:
        """Parse a message; None when its type is unknown, which is not an error. Raises CallBroken."""
        try:
            if isinstance(data, bytes):
                return AgentAudio(self.format.decode(data))
            message = json.loads(data)
            reader = _READERS.get(message["type"])
            return reader(message) if reader else None
        except (ValueError, KeyError, TypeError) as error:
            raise CallBroken("the service sent something that is not of the protocol") from error

    def _broken(self, closed: ConnectionClosed) -> CallBroken:
        close_code = closed.rcvd.code if closed.rcvd else 1006
        if self._error:
            reported = f"the service reported {self._error.code}: {self._error.message}"
            return CallBroken(reported, code=self._error.code, close_code=close_code)
        return CallBroken(f"the line broke: close code {close_code}, no end announced", close_code=close_code)


_READERS: dict[str, Callable[[dict[str, Any]], ServiceMessage | _Ready | _Error]] = {
    "ready": lambda message: _Ready(message.get("resume_token")),
    "mark": lambda message: AgentMark(message["name"]),
    "clear": lambda message: ClearRequested(),
    "event": lambda message: JournalRow(message["event"]),
    "end": lambda message: CallEnded(message["reason"]),
    "error": lambda message: _Error(message["code"], message["message"]),
}
