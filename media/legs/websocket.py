"""A leg over a websocket, in any dialect: the caller's audio comes in, the agent's goes out."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import structlog

from media.dialects.protocol import (
    CLOSE_CODES,
    AudioReceived,
    Cleared,
    DtmfPressed,
    ErrorCode,
    MarkPlayed,
    ProtocolEvent,
    Rejected,
    Started,
    Stopped,
    StreamProtocol,
    TextTyped,
)
from media.dialects.refusals import log_refusal
from media.formats import AudioFormat
from media.legs.leg import LegListener

log = structlog.get_logger(__name__)

_CLOSE_NORMAL = 1000
_HANGUP_CODES = (1000, 1001, 1005, 1006)
"""Close codes that mean the caller hung up: done, going away, no code, no close frame at all (RFC 6455, 7.4.1).

A client whose page is closed, whose program is killed or whose network is gone sends no close frame; that counts as
hanging up. Any other code means that something went wrong at the client.
"""
_GOODBYES = (1000, 1001, 1005)
"""Close codes with which a client leaves that could resume its call."""
_GOODBYE_SECONDS = 2.0
"""How long the far end may take to read the last messages."""
_READER_KNOWS_SECONDS = 0.2
"""A write to a closed socket fails before the reader has seen the close code; the writer waits this long for it."""
_UNREAD_AUDIO_SECONDS_MAX = 5.0
_UNREAD_MESSAGES_MAX = 2000


class FarEndGone(Exception):
    """The far end has closed the websocket; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"websocket closed with {code}")


class MediaSocket(Protocol):
    """What a leg needs of an open websocket."""

    async def receive(self) -> str | bytes:
        """Wait for the next message; raises FarEndGone."""

    async def send(self, message: str | bytes) -> None:
        """Send text or binary; raises FarEndGone."""

    async def close(self, code: int) -> None:
        """Close; calling it again does nothing."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A message in the outbox."""

    message: str | bytes
    audio_bytes: int = 0
    """How much of the agent's audio it contains, in the leg's format."""
    is_mark: bool = False


RowFilter = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
"""Returns the part of a journal row that the client may see; None for nothing."""


class WebSocketLeg:
    """A leg whose far end has announced its format, usually to :func:`wait_for_start`.

    ``run`` reads. Its task ``<name>:writer`` writes messages in the order they were sent, and ends with the leg. The
    outbox is bounded: a client that leaves more than 5 s of audio or 2,000 messages unread counts as gone.
    """

    can_send_digits = False
    output_latency_seconds = 0.0
    """Unknown, and not needed: the client reports what it has played."""

    def __init__(
        self,
        socket: MediaSocket,
        protocol: StreamProtocol,
        audio_format: AudioFormat,
        name: str,
        *,
        shown: RowFilter | None = None,
        on_error: Callable[[str], None] = lambda code: None,
        is_resumable: bool = False,
    ) -> None:
        """``shown`` is set for a client that asked for the journal.

        ``is_resumable``: a socket that is lost is noted as :attr:`lost`, and its caller has not left.

        ``on_error`` is called when the socket closes because of an error, with the error's code or the close code.
        """
        self._socket = socket
        self._protocol = protocol
        self._shown = shown
        self._on_error = on_error
        self._name = name
        self._format = audio_format
        self._outbox: deque[_Outgoing] = deque()
        self._unread_audio = 0
        self._unread_max = int(_UNREAD_AUDIO_SECONDS_MAX * audio_format.sample_rate * audio_format.sample_bytes)
        self._written = asyncio.Event()
        self._closing: int | None = None
        self._closed = asyncio.Event()
        self._is_socket_closed = False
        self._caller: LegListener | None = None
        self._has_left = asyncio.Event()
        self._bug: Exception | None = None
        self._is_resumable = is_resumable
        self.lost: str | None = None
        """How the socket was lost, if the client may go on over another one."""
        self.open_clears = 0
        """How many clears the client has not answered."""

    def __repr__(self) -> str:
        return f"<WebSocketLeg {self._name} {self._format}, {len(self._outbox)} messages wait>"

    @property
    def wants_events(self) -> bool:
        """Whether the client asked for journal rows."""
        return self._shown is not None

    @property
    def audio_format(self) -> AudioFormat:
        """The format of both directions."""
        return self._format

    async def answer(self, call_id: str) -> None:
        """Send ``ready``: the call has begun."""
        self._put(self._protocol.ready(call_id))

    def send_ready(self, call_id: str, resume_token: str | None, *, is_resumed: bool) -> None:
        """Send ``ready`` to a client that may resume its call with the token."""
        self._put(self._protocol.ready(call_id, resume_token, is_resumed=is_resumed))

    def drop(self) -> None:
        """Close the socket: its client goes on over another one."""
        if not self._closed.is_set():
            self.lost = self.lost or "replaced"
            self._outbox.clear()
            self._close_with(_CLOSE_NORMAL)
            self._closed.set()

    async def wait_closed(self) -> None:
        """Return when the leg is closed."""
        await self._closed.wait()

    def send_audio(self, audio: bytes) -> None:
        """Queue audio for the caller."""
        self._put(self._protocol.audio(audio), audio_bytes=len(audio))

    def send_clear(self) -> None:
        """Discard what has not been played, here and at the far end."""
        self._outbox = deque(each for each in self._outbox if not each.audio_bytes and not each.is_mark)
        self._unread_audio = 0
        self._put(self._protocol.clear())
        self.open_clears += self._protocol.answers_clear
        if not self._protocol.answers_clear and self._caller is not None:
            asyncio.get_running_loop().call_soon(self._caller.cleared, None)

    def send_mark(self, name: str) -> None:
        """Ask the far end to report when it has played the audio so far."""
        self._put(self._protocol.mark(name), is_mark=True)

    def send_event(self, row: Mapping[str, Any]) -> None:
        """Send the visible part of a journal row to a client that asked for them."""
        visible = self._shown(row) if self._shown is not None else None
        if visible is not None:
            self._put(self._protocol.event(dict(visible)))

    async def refuse(self, reason: str) -> None:
        """End the stream, instead of :meth:`answer` and :meth:`run`: there is no place for this call after all."""
        await self._say_last(self._protocol.end(reason), _CLOSE_NORMAL)

    async def fail(self, code: ErrorCode, message: str) -> None:
        """End the stream with an error, instead of :meth:`answer` and :meth:`run`."""
        self._on_error(code)
        await self._say_last(self._protocol.error(code, message), CLOSE_CODES[code])

    async def _say_last(self, message: str | None, code: int) -> None:
        with suppress(FarEndGone):
            if message is not None:
                await self._socket.send(message)
            await self._socket.close(code)

    def send_digits(self, digits: str) -> None:
        """Do nothing: there is no telephone line behind the websocket."""

    async def hang_up(self, reason: str) -> None:
        """Send the end and close; returns once the websocket is closed, within 2 s whatever the far end does."""
        if self._closing is None:
            self._put(self._protocol.end(reason))
            self._close_with(_CLOSE_NORMAL)
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._closed.wait()
        except TimeoutError:
            self._closed.set()

    async def run(self, caller: LegListener) -> None:
        """Pass on what comes in; returns once either side has closed the leg.

        An exception raised by a method of ``caller`` ends the stream as ``internal``; ``run`` raises it again.
        """
        self._caller = caller
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(), name=f"{self._name}:writer")
            reader = tasks.create_task(self._read(caller), name=f"{self._name}:reader")
            await self._closed.wait()
            for task in (reader, writer):
                task.cancel()
            await asyncio.wait([reader, writer])
        await self._close_socket()
        if self._protocol.ignored:
            ignored = {"count": self._protocol.ignored, "unreadable": self._protocol.unreadable}
            log.info("media.ignored", call_id=self._name, dialect=self._protocol.dialect, **ignored)
        if self._bug is not None:
            raise self._bug

    def _leave(self, reason: str, detail: str | None = None) -> None:
        """Report why the caller is gone; only the first reason counts."""
        if self.lost is not None:
            return
        if self._caller is not None and not self._has_left.is_set():
            self._has_left.set()
            self._caller.leave(reason, detail)

    async def _read(self, caller: LegListener) -> None:
        try:
            while await self._read_until_due(caller):
                continue
        except FarEndGone as gone:
            self._gone(gone.code)
            self._outbox.clear()
            self._close_with(_CLOSE_NORMAL)
        except Exception as error:  # noqa: BLE001 - a bug in a handler: the client gets an error, then run raises it
            self._bug = error
            self._leave("media_lost", "internal")
            self._on_error("internal")
            self._put(self._protocol.error("internal", "something went wrong on this side"))
            self._close_with(CLOSE_CODES["internal"])

    def _gone(self, code: int) -> None:
        """The far end has closed the socket, or lost it."""
        detail = f"closed with {code}"
        if self._is_resumable and code not in _GOODBYES and self._closing is None and not self._has_left.is_set():
            self.lost = self.lost or detail
            self._closed.set()
        else:
            self._leave("caller_hangup" if code in _HANGUP_CODES else "media_lost", detail)

    async def _read_until_due(self, caller: LegListener) -> bool:
        """Read until the current deadline; messages move it, so one timer serves many. False: the stream is over."""
        clock, receive = asyncio.get_running_loop().time, self._protocol.receive
        try:
            async with asyncio.timeout_at(self._protocol.next_deadline()):
                while True:
                    events = receive(await self._socket.receive(), clock())
                    if not await self._pass_on(events, caller):
                        return False
        except TimeoutError:
            return await self._pass_on(self._protocol.deadline_passed(clock()), caller)

    async def _pass_on(self, events: Iterable[ProtocolEvent], caller: LegListener) -> bool:
        """Handle events in their order, up to the one that ends the stream. Returns False if there was one."""
        for event in events:
            if not await self._handle(event, caller):
                return False
        return True

    async def _handle(self, event: ProtocolEvent, caller: LegListener) -> bool:
        """Handle an event; False when the stream is over."""
        match event:
            case AudioReceived(audio):
                await caller.handle_audio_received(audio)
            case DtmfPressed(digit):
                caller.press(digit)
            case TextTyped(text):
                caller.type_text(text)
            case MarkPlayed(name):
                caller.mark_played(name)
            case Cleared(played_samples):
                self.open_clears -= 1
                caller.cleared(played_samples)
            case Stopped():
                self._leave("caller_hangup")
                return False
            case Rejected(code, message, close_code):
                self._on_error(code or str(close_code))
                log_refusal(self._protocol.dialect, event, call_id=self._name)
                self._leave("media_timeout" if code == "media_timeout" else "media_lost", event.detail)
                if code is not None:
                    self._put(self._protocol.error(code, message))
                self._close_with(close_code)
                return False
            case Started():
                raise AssertionError("the protocol rejects a second start")
            case _:
                assert_never(event)
        return True

    def _put(self, message: str | bytes | None, *, audio_bytes: int = 0, is_mark: bool = False) -> None:
        """Queue a message; None means that the dialect has no such message."""
        if self._closing is not None or message is None:
            return
        self._outbox.append(_Outgoing(message, audio_bytes, is_mark))
        self._unread_audio += audio_bytes
        if self._unread_audio > self._unread_max or len(self._outbox) > _UNREAD_MESSAGES_MAX:
            self._give_up_client()
        self._written.set()

    def _give_up_client(self) -> None:
        """Close the leg of a client that does not read."""
        self._on_error("not_read")
        self._outbox.clear()
        self._close_with(CLOSE_CODES["internal"])
        self._closed.set()
        self._leave("media_lost", "not_read")

    def _close_with(self, code: int) -> None:
        """Close once the outbox is empty; only the first code counts."""
        if self._closing is None:
            self._closing = code
        self._written.set()

    async def _write(self) -> None:
        try:
            while True:
                self._written.clear()
                while self._outbox:
                    next_out = self._outbox.popleft()
                    self._unread_audio -= next_out.audio_bytes
                    await self._socket.send(next_out.message)
                if self._closing is not None:
                    break
                await self._written.wait()
        except FarEndGone as gone:
            with suppress(TimeoutError):
                async with asyncio.timeout(_READER_KNOWS_SECONDS):
                    await self._has_left.wait()
            if not self._has_left.is_set():
                self._gone(gone.code)
            self._close_with(_CLOSE_NORMAL)
        await self._close_socket()
        self._closed.set()

    async def _close_socket(self) -> None:
        if self._is_socket_closed:
            return
        self._is_socket_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._socket.close(CLOSE_CODES["internal"] if self._closing is None else self._closing)


async def wait_for_start(
    socket: MediaSocket,
    protocol: StreamProtocol,
    *,
    on_error: Callable[[str], None] = lambda code: None,
    on_refusal: Callable[[str, Rejected], None] = log_refusal,
) -> Started | None:
    """Wait for ``start``; None when the far end sent anything else, sent it too late, or left.

    The socket is closed when the result is None. ``on_error`` is as in :class:`WebSocketLeg`. ``on_refusal`` logs a
    refusal; its first argument is the dialect's name.
    """
    while True:
        try:
            events = await _next_events(socket, protocol)
        except FarEndGone:
            return None
        for event in events:
            match event:
                case Started():
                    return event
                case Rejected():
                    on_error(event.code or str(event.close_code))
                    on_refusal(protocol.dialect, event)
                    await _reject(socket, protocol, event)
                    return None
                case _:
                    continue


async def _next_events(socket: MediaSocket, protocol: StreamProtocol) -> list[ProtocolEvent]:
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout_at(protocol.next_deadline()):
            message = await socket.receive()
    except TimeoutError:
        return protocol.deadline_passed(clock())
    return protocol.receive(message, clock())


async def _reject(socket: MediaSocket, protocol: StreamProtocol, rejected: Rejected) -> None:
    with suppress(FarEndGone):
        message = protocol.error(rejected.code, rejected.message) if rejected.code is not None else None
        if message is not None:
            await socket.send(message)
        await socket.close(rejected.close_code)
