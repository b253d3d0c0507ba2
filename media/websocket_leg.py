"""A leg over a websocket that speaks the native protocol: the caller's sound comes in, the agent's goes out."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, assert_never

from media.formats import AudioFormat
from media.native_protocol import (
    CLOSE_TOO_BIG,
    AudioReceived,
    Cleared,
    DtmfPressed,
    MarkPlayed,
    NativeProtocol,
    ProtocolEvent,
    Rejected,
    Started,
    Stopped,
)

_CLOSE_NORMAL = 1000
_CLOSE_INTERNAL = 1011
_GOODBYE_SECONDS = 2.0
"""How long a far end may take to read the last messages."""
_UNREAD_AUDIO_SECONDS_MAX = 5.0
_UNREAD_MESSAGES_MAX = 2000


class FarEndGone(Exception):
    """The websocket was closed by the other side; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"websocket closed with {code}")


class MediaSocket(Protocol):
    """What a leg needs of a websocket that is open."""

    async def receive(self) -> str | bytes:
        """The next message; raises FarEndGone."""

    async def send(self, message: str | bytes) -> None:
        """Text or binary; raises FarEndGone."""

    async def close(self, code: int) -> None:
        """Close; again it does nothing."""


class CallerSide(Protocol):
    """Who is told what the caller does; nothing here waits."""

    def hear(self, audio: bytes) -> None:
        """Sound in the leg's format."""

    def press(self, digit: str) -> None:
        """A key."""

    def mark_played(self, name: str) -> None:
        """Everything before the mark has been played."""

    def cleared(self, played_samples: int) -> None:
        """Samples played, ever, when it was cleared."""

    def leave(self, reason: str) -> None:
        """The caller is gone: ``caller_hangup``, ``media_lost`` or ``media_timeout``."""


class WebSocketLeg:
    """Made by :meth:`accept` once the client has sent ``start``.

    ``run`` reads; its task ``<name>:writer`` writes, in the order of the calls, and ends with the leg. What waits to be
    written is bounded: a client that does not read for 5 s of audio, or 2,000 messages, is taken for gone.
    """

    def __init__(self, socket: MediaSocket, protocol: NativeProtocol, started: Started, name: str) -> None:
        self._socket = socket
        self._protocol = protocol
        self.wants_events = started.wants_events
        """Whether the client asked for the journal's rows."""
        self._name = name
        self._format = started.format
        self._outbox: deque[str | bytes] = deque()
        self._unread_audio = 0
        self._unread_max = int(_UNREAD_AUDIO_SECONDS_MAX * started.format.sample_rate * started.format.sample_bytes)
        self._written = asyncio.Event()
        self._closing: int | None = None
        self._closed = asyncio.Event()
        self._caller: CallerSide | None = None

    def __repr__(self) -> str:
        return f"<WebSocketLeg {self._name} {self._format}, {len(self._outbox)} messages wait>"

    @classmethod
    async def accept(cls, socket: MediaSocket, name: str) -> "WebSocketLeg | None":
        """Wait for ``start``; None when the client said something else, nothing in time, or left. Then it is closed."""
        clock = asyncio.get_running_loop().time
        protocol = NativeProtocol(clock())
        while True:
            try:
                events = await _next_events(socket, protocol)
            except FarEndGone:
                return None
            for event in events:
                match event:
                    case Started():
                        return cls(socket, protocol, event, name)
                    case Rejected():
                        await _reject(socket, protocol, event)
                        return None
                    case _:
                        continue

    @property
    def audio_format(self) -> AudioFormat:
        """Of both directions."""
        return self._format

    async def answer(self, call_id: str) -> None:
        """Tell the client that the call is on."""
        self._put(self._protocol.ready(call_id))

    def send_audio(self, audio: bytes) -> None:
        """The next sound for the caller."""
        self._unread_audio += len(audio)
        self._put(audio)

    def send_clear(self) -> None:
        """Throw away what has not been played, here and at the far end."""
        kept = [message for message in self._outbox if isinstance(message, str)]
        self._outbox = deque(kept)
        self._unread_audio = 0
        self._put(self._protocol.clear())

    def send_mark(self, name: str) -> None:
        """Tell when the audio so far has been played."""
        self._put(self._protocol.mark(name))

    def send_event(self, row: Mapping[str, Any]) -> None:
        """A journal row, for a client that asked for them."""
        self._put(self._protocol.event(dict(row)))

    async def refuse(self, reason: str) -> None:
        """Instead of :meth:`answer` and :meth:`run`: there is no place for this call after all."""
        try:
            await self._socket.send(self._protocol.end(reason))
        except FarEndGone:
            return
        await self._socket.close(_CLOSE_NORMAL)

    async def hang_up(self, reason: str) -> None:
        """Say the end and close; returns once the websocket is closed, within 2 s whatever the far end does."""
        if self._closing is None:
            self._put(self._protocol.end(reason))
            self._closing = _CLOSE_NORMAL
            self._written.set()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._closed.wait()
        except TimeoutError:
            self._closed.set()

    async def run(self, caller: CallerSide) -> None:
        """Tell the caller's side what comes in; returns once the leg is closed by :meth:`hang_up`."""
        self._caller = caller
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(), name=f"{self._name}:writer")
            reader = tasks.create_task(self._read(caller), name=f"{self._name}:reader")
            await self._closed.wait()
            for task in (reader, writer):
                task.cancel()
            await asyncio.wait([reader, writer])

    async def _read(self, caller: CallerSide) -> None:
        while True:
            try:
                events = await _next_events(self._socket, self._protocol)
            except FarEndGone as gone:
                caller.leave("caller_hangup" if gone.code in (1000, 1001, 1005) else "media_lost")
                self._closing = self._closing or _CLOSE_NORMAL
                self._outbox.clear()
                self._written.set()
                return
            for event in events:
                if not self._pass_on(event, caller):
                    return

    def _pass_on(self, event: ProtocolEvent, caller: CallerSide) -> bool:
        """False when nothing will follow."""
        match event:
            case AudioReceived(audio):
                caller.hear(audio)
            case DtmfPressed(digit):
                caller.press(digit)
            case MarkPlayed(name):
                caller.mark_played(name)
            case Cleared(played_samples):
                if played_samples is not None:
                    caller.cleared(played_samples)
            case Stopped():
                caller.leave("caller_hangup")
                return False
            case Rejected(code, message, close_code):
                caller.leave("media_timeout" if code == "media_timeout" else "media_lost")
                if close_code != CLOSE_TOO_BIG and code is not None:
                    self._put(self._protocol.error(code, message))
                self._closing = close_code
                self._written.set()
                return False
            case Started():
                raise AssertionError("the protocol rejects a second start")
            case _:
                assert_never(event)
        return True

    def _put(self, message: str | bytes) -> None:
        if self._closing is not None:
            return
        self._outbox.append(message)
        if self._unread_audio > self._unread_max or len(self._outbox) > _UNREAD_MESSAGES_MAX:
            self._lose()
        self._written.set()

    def _lose(self) -> None:
        """The client does not read: nothing more is written for it."""
        self._outbox.clear()
        self._closing = _CLOSE_INTERNAL
        if self._caller is not None:
            self._caller.leave("media_lost")

    async def _write(self) -> None:
        try:
            while True:
                self._written.clear()
                while self._outbox:
                    message = self._outbox.popleft()
                    if isinstance(message, bytes):
                        self._unread_audio -= len(message)
                    await self._socket.send(message)
                if self._closing is not None:
                    break
                await self._written.wait()
        except FarEndGone:
            self._closing = self._closing or _CLOSE_NORMAL
        await self._socket.close(self._closing or _CLOSE_INTERNAL)
        self._closed.set()


async def _next_events(socket: MediaSocket, protocol: NativeProtocol) -> list[ProtocolEvent]:
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout_at(protocol.next_deadline()):
            message = await socket.receive()
    except TimeoutError:
        return protocol.deadline_passed(clock())
    return protocol.receive(message, clock())


async def _reject(socket: MediaSocket, protocol: NativeProtocol, rejected: Rejected) -> None:
    try:
        if rejected.code is not None:
            await socket.send(protocol.error(rejected.code, rejected.message))
    except FarEndGone:
        return
    await socket.close(rejected.close_code)
