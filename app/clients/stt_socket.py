"""One websocket to a recogniser: opening, writing, reading, stall detection. A vendor's folder adds its messages."""

import asyncio
import logging
import math
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Self

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
)

from app.clients.messages import Unreadable, read_object
from app.clients.replay_buffer import Timeline
from app.clients.stream_state import SttStreamState
from app.clients.turn_assembly import AssembledT
from app.errors import ProviderError, ProviderProtocolError, ProviderTimeout, ProviderUnavailable
from app.observability.listeners import Listeners
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

# At DEBUG the socket library would log whole messages, and so callers' words and our key.
_socket_log = logging.getLogger(f"{__name__}.socket")
_socket_log.setLevel(logging.INFO)

_SILENCE_SECONDS = 0.08
_CLOSE_SECONDS = 0.5
_GARBAGE_IN_A_ROW = 3
_MESSAGES_KEPT = 64
_USUAL_DELAY_SECONDS = 0.3
"""How far the messages about the audio may be behind it without being late."""
_MARKS_KEPT = 256
_UNANSWERED_SECONDS = 3.0
"""How long after the end of a sound its words may still be awaited."""


RawSocket = ClientConnection
"""The library's open websocket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to open the socket."""

    url: str
    headers: dict[str, str] = field(repr=False)
    tls: ssl.SSLContext | None
    """None for ws://."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketTimes:
    """How long one socket waits for what. All values are in seconds."""

    connect_seconds: float
    ping_interval_seconds: float
    ping_timeout_seconds: float
    stall_seconds: float
    """How long the vendor may send nothing that is due."""
    steady_seconds: float
    """A socket that has stayed open this long counts as working."""
    flows_seconds: float
    """Audio counts as flowing if some was sent this recently."""
    keep_alive_seconds: float
    """Time without audio before a sign of life."""
    silence_after_seconds: float
    """Time without audio in the middle of a turn after which silence is sent, so that the turn can end."""
    orphan_seconds: float
    """How long a new socket may take to report a turn that began on the one before. After that the turn has ended."""
    finish_seconds: float
    """How long the vendor may send nothing after a request to finish."""


class SttSocket(ABC, Generic[AssembledT]):
    """One open socket. One task writes, one detects stalls, and the caller of :meth:`run` reads.

    When the vendor sends nothing although something is due, the connection has stalled: it is given up.
    """

    provider: ClassVar[str]
    request_id_header: ClassVar[str]
    """The header of the handshake's response that has the vendor's id."""
    close_message: ClassVar[str]
    """Asks the vendor to finish."""

    def __init__(
        self,
        socket: RawSocket,
        state: SttStreamState[AssembledT],
        audio_format: AudioFormat,
        times: SocketTimes,
    ) -> None:
        self._socket = socket
        self._state = state
        self._times = times
        self._format = audio_format
        self._silence = audio_format.silence(round(_SILENCE_SECONDS * audio_format.sample_rate))
        self._timeline = Timeline(sample_rate=audio_format.sample_rate)
        self._clock = asyncio.get_running_loop().time
        self._opened_at = self._heard_at = self._audio_at = self._written_at = self._clock()
        self._silent_at: float | None = None
        self._marks: deque[tuple[float, float]] = deque(maxlen=_MARKS_KEPT)
        """For audio that no message was about yet: where a piece ended, in seconds of the socket, and when it went."""
        self._sent_at = self._opened_at
        """When the end of the audio was sent that the last message was about."""
        self._behind_seconds = 0.0
        """How late the last message came after the audio that it was about."""
        self._patience = asyncio.timeout(None)
        self._asked_to_close = False
        self._has_answered = False
        """Whether any message followed the greeting: one that has not may be deaf to the sound that was sent again."""
        self._garbage = self._unreadable = 0
        self.heard = False
        """Whether the vendor has sent any message about the audio."""
        self.stalled = False
        """Whether the socket was given up because it had stalled."""
        self.on_working = Listeners[[]]("stream.working")
        """Called before the first message about the audio goes to the reader, or after 1 s without a loss."""
        self.follows_a_stall = False
        """Whether the socket before this one began a turn and stalled. Then the start of a turn proves nothing: this
        one counts as working after a final transcript, or after twice the stall timeout."""

    # --- what a vendor adds -----------------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def status_error(status: int, headers: Mapping[str, str]) -> ProviderError:
        """Map an HTTP error status of the handshake, with the vendor's headers, to our error."""

    @staticmethod
    @abstractmethod
    def closed_error(code: int, reason: str) -> ProviderError:
        """Map the vendor's close of the socket to our error."""

    @staticmethod
    @abstractmethod
    def read_request_id(value: object) -> str | None:
        """The vendor's id of a request; None for anything else, which could be the caller's words."""

    async def greeted(self) -> None:
        """Wait for the vendor's first message, if it sends one at once."""

    def note(self, message: Mapping[str, object]) -> None:
        """Take note of a message that is not about the audio."""

    async def send_due(self) -> None:
        """Send what is due besides audio."""

    def next_due_at(self) -> float | None:
        """When :meth:`send_due` must be called again, by the loop's clock; None: when something changes."""
        return None

    def keep_alive(self) -> str | None:
        """The message that keeps an idle socket open; None: silence does."""
        return None

    def owes_since(self) -> float | None:
        """Since when the vendor owes a message, by the loop's clock; None while none is due."""
        if self._state.turns.open:
            return self._heard_at
        sound_since = self._state.sound_since
        if sound_since is None or self._clock() - self._audio_at > self._times.flows_seconds:
            return None
        return max(self._heard_at, sound_since)

    # --- for the stream ---------------------------------------------------------------------------------------------

    @classmethod
    async def dial(cls, endpoint: Endpoint, times: SocketTimes, patience: float) -> RawSocket:
        """Connect within ``patience`` seconds. Raises what :meth:`error_of` maps."""
        return await connect(
            endpoint.url,
            additional_headers=endpoint.headers,
            ssl=endpoint.tls,
            compression=None,
            proxy=None,
            open_timeout=patience,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=times.ping_interval_seconds,
            ping_timeout=times.ping_timeout_seconds,
            max_queue=_MESSAGES_KEPT,
            logger=_socket_log,
        )

    def opened(self) -> Self:
        """Note the id of the connection, and return the connection."""
        self._state.note_request(self.read_request_id(self.request_id))
        return self

    @property
    def request_id(self) -> str | None:
        """The vendor's request id, if the handshake response had one."""
        return self._socket.response.headers.get(self.request_id_header) if self._socket.response else None

    @property
    def useful_seconds(self) -> float:
        """How long the socket has worked: until now, or until the last message before it stalled."""
        return (self._heard_at if self.stalled else self._clock()) - self._opened_at

    @property
    def owed_seconds(self) -> float:
        """How long the vendor has owed a message; 0 while none is due. A sound that is over may have been words.

        In a turn, messages that come later and later after their audio count, too: they are owed by then.
        """
        since = self.owes_since() or self._unanswered_since()
        owed = 0.0 if since is None else self._clock() - since
        return max(owed, self._behind_seconds - _USUAL_DELAY_SECONDS) if self._state.turns.open else owed

    def _unanswered_since(self) -> float | None:
        """When the last sound began, was last answered, or was sent to this socket, if nothing came since its end.

        Some time later, it was no speech.
        """
        began_at, ended_at = self._state.last_sound or (0.0, -math.inf)
        if self._clock() - ended_at >= _UNANSWERED_SECONDS:
            return None
        if not self._has_answered:
            return max(began_at, self._opened_at)
        return max(began_at, self._heard_at) if self._heard_at < ended_at else None

    def abort(self) -> None:
        """Abort the connection without a closing handshake."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close the socket, within half a second if the vendor does not answer."""
        await self._socket.close()

    async def replay(self) -> None:
        """Send the audio that must be sent again, and what has arrived since. Raises ProviderError."""
        buffer = self._state.buffer
        self._state.turns.resume_from(buffer.next / self._format.sample_rate)
        end = buffer.end
        try:
            while buffer.next < end:
                await self._send_piece()
        except ConnectionClosed as error:
            raise self._loss(error) from error

    async def run(self) -> None:
        """Run until the stream has finished. Raises ProviderError when the socket is lost."""
        loss: ProviderError | None = None
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._write(), name=f"{self.provider}-write"),
                group.create_task(self._watch(), name=f"{self.provider}-watch"),
            ]
            if self._state.turns.orphaned:
                helpers.append(group.create_task(self._end_orphaned_turn(), name=f"{self.provider}-orphaned-turn"))
            try:
                await self._read()
            except ConnectionClosed as error:
                silence = ProviderTimeout(self.provider, "the socket takes audio and sends nothing")
                loss = silence if self.stalled else self._loss(error)
            except ProviderError as error:
                loss = error
            for helper in helpers:
                helper.cancel()
        if loss is not None:
            raise loss

    @classmethod
    def error_of(cls, error: Exception) -> ProviderError | None:
        """Map an error of the socket library to ours; None for any other error."""
        match error:
            case InvalidStatus():
                headers = {name.lower(): str(value) for name, value in error.response.headers.raw_items()}
                return cls.status_error(error.response.status_code, headers)
            case InvalidHandshake() | InvalidURI():
                kind = ProviderProtocolError if isinstance(error, InvalidUpgrade) else ProviderUnavailable
                return kind(cls.provider, f"the socket did not open ({type(error).__name__})")
            case ConnectionClosed():
                return cls._loss(error)
            case TimeoutError():
                return ProviderTimeout(cls.provider, "no answer before the deadline")
            case OSError():
                return ProviderUnavailable(cls.provider, f"no connection ({type(error).__name__})")
            case _:
                return None

    @classmethod
    def _loss(cls, error: ConnectionClosed) -> ProviderError:
        if error.rcvd is not None:
            return cls.closed_error(error.rcvd.code, error.rcvd.reason)
        if error.sent is not None and "ping timeout" in error.sent.reason:
            return ProviderTimeout(cls.provider, "the connection died without a word")
        return ProviderUnavailable(cls.provider, "the connection was cut")

    # --- reading ----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        steady: asyncio.TimerHandle | None = None
        try:
            async with self._patience:
                await self.greeted()
                self._has_answered = False
                trust = 2 * self._times.stall_seconds if self.follows_a_stall else self._times.steady_seconds
                steady = asyncio.get_running_loop().call_later(trust, self.on_working)
                while True:
                    await self.take_next()
                    if self._asked_to_close:
                        self._patience.reschedule(self._clock() + self._times.finish_seconds)
        except ConnectionClosedOK:
            if not self._asked_to_close:
                raise
        except TimeoutError:
            log.warning("stream.finish_unanswered", provider=self.provider, seconds=self._times.finish_seconds)
        finally:
            if steady is not None:
                steady.cancel()

    async def take_next(self) -> None:
        """Receive and take in the next message, as bytes: decoding text that is not UTF-8 would close the socket."""
        self._take_in(await self._socket.recv(decode=False))

    def _take_in(self, raw: bytes) -> None:
        try:
            message = read_object(raw)
            heard = self._state.turns.read(message, self._timeline.seconds)
        except Unreadable as error:
            self._note_unreadable(error)
            return
        self._garbage, self._has_answered = 0, True
        self._heard_at = self._clock()
        self._state.note_request(self.read_request_id(message.get("request_id")))
        if heard is not None and heard.until is not None:
            self._note_until(heard.until)
        self.note(message)
        if heard is None:
            self._state.ignored += 1
            return
        if heard.events or heard.acknowledged is not None:
            self.heard = True
            if heard.acknowledged is not None or not self.follows_a_stall:
                self.on_working()
        if heard.acknowledged is not None:
            self._state.buffer.acknowledge(self._timeline.position(heard.acknowledged))
        if heard.events:
            self._state.emit(*heard.events)
            self._state.changed.set()

    def _note_until(self, socket_seconds: float) -> None:
        """Note how late a message is that is about the audio up to there."""
        while self._marks and self._marks[0][0] <= socket_seconds:
            self._sent_at = self._marks.popleft()[1]
        self._behind_seconds = self._clock() - self._sent_at

    def _note_unreadable(self, error: Unreadable) -> None:
        """Ignore an unreadable message; give the socket up when several come in a row."""
        self._state.ignored += 1
        self._garbage += 1
        self._unreadable += 1
        if self._unreadable == 1:
            log.warning("provider.unreadable_message", provider=self.provider, detail=str(error))
        if self._garbage >= _GARBAGE_IN_A_ROW:
            raise ProviderProtocolError(self.provider, "several messages in a row that break the protocol") from error

    async def _watch(self) -> None:
        """Give the socket up when a message is overdue; while none is due, check once per stall timeout."""
        while not self._asked_to_close:
            now = self._clock()
            due = (self.owes_since() or now) + self._times.stall_seconds
            if now >= due:
                self.stalled = True
                self.abort()
                return
            await asyncio.sleep(due - now)

    # --- writing ----------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while True:
                if not self._asked_to_close:
                    await self.send_due()
                while self._state.has_to_send:
                    await self._send_piece()
                if self._state.finishing and not self._asked_to_close:
                    self._asked_to_close = True
                    self._patience.reschedule(self._clock() + self._times.finish_seconds)
                    await self.send_text(self.close_message)
                await self._wait()
        except ConnectionClosed:
            return  # the reader sees the close too, and raises its reason

    async def send_text(self, message: str) -> None:
        """Send a message of text."""
        await self._socket.send(message)

    async def _send_piece(self) -> None:
        piece = self._state.buffer.take(self._state.piece)
        if piece is None:
            return
        samples = self._format.samples(piece.audio)
        self._timeline.sent(piece.start, samples)
        self._marks.append((self._timeline.sent_seconds, self._clock()))
        self._state.samples_sent += samples
        self._state.sent.set()
        self._audio_at = self._written_at = self._clock()
        self._silent_at = None
        await self._socket.send(piece.audio)

    async def _wait(self) -> None:
        """Wait until there is something to send, or a keepalive is due."""
        sign_of_life, other = self._due_at(), None if self._asked_to_close else self.next_due_at()
        due = min((at for at in (sign_of_life, other) if at is not None), default=None)
        try:
            async with asyncio.timeout_at(due):
                await self._state.changed.wait()
            self._state.changed.clear()
        except TimeoutError:
            if sign_of_life is not None and self._clock() >= sign_of_life:
                await self._fill_pause()

    def _due_at(self) -> float | None:
        if self._asked_to_close:
            return None
        if not self._state.turns.open:
            self._silent_at = None
            return self._written_at + self._times.keep_alive_seconds
        if self._silent_at is None:
            return self._audio_at + self._times.silence_after_seconds
        return self._silent_at + _SILENCE_SECONDS

    async def _fill_pause(self) -> None:
        """Fill a pause in the caller's audio. In a turn, send silence in real time, so that the turn can end. Otherwise
        send a sign of life: waiting audio if there is some, else the vendor's own message, or silence."""
        due = self._due_at()
        self._written_at = self._clock()
        if self._state.turns.open:
            late = due is None or self._written_at - due > _SILENCE_SECONDS
            self._silent_at = self._written_at if late else due
        elif self._state.buffer.unsent:
            await self._send_piece()
            return
        elif (message := self.keep_alive()) is not None:
            await self.send_text(message)
            return
        samples = self._format.samples(self._silence)
        self._timeline.filled(samples)
        self._marks.append((self._timeline.sent_seconds, self._clock()))
        self._state.samples_sent += samples
        await self._socket.send(self._silence)

    async def _end_orphaned_turn(self) -> None:
        await asyncio.sleep(self._times.orphan_seconds)
        if self._state.turns.orphaned:
            self._state.emit(*self._state.turns.close())
