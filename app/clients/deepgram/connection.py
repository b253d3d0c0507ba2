"""One websocket to Deepgram: opening, writing, reading, stall detection, errors.

Wire format: https://developers.deepgram.com/reference/speech-to-text/listen-streaming (Nova-3) and
https://developers.deepgram.com/reference/speech-to-text/listen-flux (Flux).
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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

from app.clients.deepgram.messages import PROVIDER, DeepgramOptions
from app.clients.deepgram.patience import FluxPatience
from app.clients.deepgram.spoken import read_token
from app.clients.deepgram.turn_assembly import TurnAssembly
from app.clients.messages import Unreadable, read_object
from app.clients.rate_limit_headers import retry_after_seconds
from app.clients.replay_buffer import Timeline
from app.clients.stream_state import SttStreamState
from app.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the socket, and how to open it."""

    url: str
    headers: dict[str, str] = field(repr=False)
    tls: ssl.SSLContext | None
    """None for ws://."""


class DeepgramConnection:
    """One open socket. One task writes, one detects stalls, and the caller of :meth:`run` reads.

    When Deepgram sends nothing although a turn is open or the caller makes a sound, the connection has stalled: it is
    given up.
    """

    def __init__(
        self,
        socket: ClientConnection,
        state: SttStreamState[TurnAssembly],
        audio_format: AudioFormat,
        options: DeepgramOptions,
    ) -> None:
        self._socket = socket
        self._state = state
        self._options = options
        self._format = audio_format
        self._stall_seconds = options.flux_stall_seconds if options.is_flux else options.nova_stall_seconds
        self._silence = audio_format.silence(round(_SILENCE_SECONDS * audio_format.sample_rate))
        self._timeline = Timeline(sample_rate=audio_format.sample_rate)
        self._clock = asyncio.get_running_loop().time
        self._opened_at = self._heard_at = self._audio_at = self._written_at = self._clock()
        self._silent_at: float | None = None
        self._patience = asyncio.timeout(None)
        self._flux_patience = FluxPatience(options) if options.is_flux else None
        self._asked_to_close = False
        self._garbage = self._unreadable = 0
        self.heard = False
        """Whether Deepgram has sent any message about the audio."""
        self.stalled = False
        """Whether the socket was given up because it had stalled."""
        self.on_working = Listeners[[]]("stream.working")
        """Called before the first message about the audio goes to the reader, or after 1 s without a loss."""
        self.follows_a_stall = False
        """Whether the socket before this one began a turn and stalled. Then the start of a turn proves nothing: this
        one counts as working after a final transcript, or after twice the stall timeout."""

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        state: SttStreamState[TurnAssembly],
        *,
        audio_format: AudioFormat,
        options: DeepgramOptions,
        patience: float,
    ) -> Self:
        """Connect within ``patience`` seconds. Raises what :func:`socket_error` maps."""
        socket = await connect(
            endpoint.url,
            additional_headers=endpoint.headers,
            ssl=endpoint.tls,
            compression=None,
            proxy=None,
            open_timeout=patience,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=options.ping_interval_seconds,
            ping_timeout=options.ping_timeout_seconds,
            max_queue=_MESSAGES_KEPT,
            logger=_socket_log,
        )
        conversation = cls(socket, state, audio_format, options)
        state.note_request(read_token(conversation.request_id))
        return conversation

    @property
    def request_id(self) -> str | None:
        """Deepgram's request id, if the handshake response had one."""
        return self._socket.response.headers.get("dg-request-id") if self._socket.response else None

    @property
    def useful_seconds(self) -> float:
        """How long the socket has worked: until now, or until the last message before it stalled."""
        return (self._heard_at if self.stalled else self._clock()) - self._opened_at

    def abort(self) -> None:
        """Abort the connection without a closing handshake."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close the socket, within half a second if Deepgram does not answer."""
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
            raise _closed_error(error) from error

    async def run(self) -> None:
        """Run until the stream has finished. Raises ProviderError when the socket is lost."""
        loss: ProviderError | None = None
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(self._write(), name="deepgram-write"),
                group.create_task(self._watch(), name="deepgram-watch"),
            ]
            if self._state.turns.orphaned:
                helpers.append(group.create_task(self._end_orphaned_turn(), name="deepgram-orphaned-turn"))
            try:
                await self._read()
            except ConnectionClosed as error:
                silence = ProviderTimeout(PROVIDER, "the socket takes audio and sends nothing")
                loss = silence if self.stalled else _closed_error(error)
            except ProviderError as error:
                loss = error
            for helper in helpers:
                helper.cancel()
        if loss is not None:
            raise loss

    async def _read(self) -> None:
        steady: asyncio.TimerHandle | None = None
        try:
            async with self._patience:
                if self._options.is_flux:
                    await self._be_greeted()
                trust = 2 * self._stall_seconds if self.follows_a_stall else self._options.steady_seconds
                steady = asyncio.get_running_loop().call_later(trust, self.on_working)
                while True:
                    self._take_in(await self._receive())
                    if self._asked_to_close:
                        self._patience.reschedule(self._clock() + self._options.finish_seconds)
        except ConnectionClosedOK:
            if not self._asked_to_close:
                raise
        except TimeoutError:
            log.warning("stream.finish_unanswered", provider=PROVIDER, seconds=self._options.finish_seconds)
        finally:
            if steady is not None:
                steady.cancel()

    async def _be_greeted(self) -> None:
        """Wait for Flux's ``Connected``, which it sends at once. Without it, the socket does not work."""
        try:
            async with asyncio.timeout(self._options.connect_seconds):
                self._take_in(await self._receive())
        except TimeoutError:
            raise ProviderTimeout(PROVIDER, "the socket opened and sends nothing") from None

    async def _receive(self) -> bytes:
        """Receive the next message as bytes: decoding text that is not UTF-8 would close the connection."""
        return await self._socket.recv(decode=False)

    def _take_in(self, raw: bytes) -> None:
        try:
            message = read_object(raw)
            heard = self._state.turns.read(message, self._timeline.seconds)
        except Unreadable as error:
            self._note_unreadable(error)
            return
        self._garbage = 0
        self._heard_at = self._clock()
        self._state.note_request(read_token(message.get("request_id")))
        self._note_answer(message)
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

    def _note_answer(self, message: Mapping[str, object]) -> None:
        """Let the writer send the next ``Configure`` when the last one is answered."""
        if self._flux_patience is None or not self._flux_patience.note(message):
            return
        self._state.changed.set()
        if message.get("type") == "ConfigureFailure":
            log.warning("stream.patience_refused", provider=PROVIDER, code=read_token(message.get("code")))

    def _note_unreadable(self, error: Unreadable) -> None:
        """Ignore an unreadable message; give the socket up when several come in a row."""
        self._state.ignored += 1
        self._garbage += 1
        self._unreadable += 1
        if self._unreadable == 1:
            log.warning("provider.unreadable_message", provider=PROVIDER, detail=str(error))
        if self._garbage >= _GARBAGE_IN_A_ROW:
            raise ProviderProtocolError(PROVIDER, "several messages in a row that break the protocol") from error

    async def _watch(self) -> None:
        """Give the socket up when a message is overdue; while none is due, check once per stall timeout."""
        while not self._asked_to_close:
            now = self._clock()
            due = (self._owes_since() or now) + self._stall_seconds
            if now >= due:
                self.stalled = True
                self.abort()
                return
            await asyncio.sleep(due - now)

    def _owes_since(self) -> float | None:
        """When the wait for a message began; None while none is due."""
        if self._state.turns.open:
            return self._heard_at
        sound_since = self._state.sound_since
        if sound_since is None or self._clock() - self._audio_at > self._options.flows_seconds:
            return None
        return max(self._heard_at, sound_since)

    async def _write(self) -> None:
        try:
            while True:
                await self._send_patience()
                while self._state.has_to_send:
                    await self._send_piece()
                if self._state.finishing and not self._asked_to_close:
                    self._asked_to_close = True
                    self._patience.reschedule(self._clock() + self._options.finish_seconds)
                    await self._socket.send('{"type":"CloseStream"}')
                await self._wait()
        except ConnectionClosed:
            return  # the reader sees the close too, and raises its reason

    async def _send_patience(self) -> None:
        wanted = self._flux_patience and self._flux_patience.next_message(self._state.patience, self._clock())
        if wanted and not self._asked_to_close:
            await self._socket.send(wanted)

    async def _send_piece(self) -> None:
        piece = self._state.buffer.take(self._state.piece)
        if piece is None:
            return
        samples = self._format.samples(piece.audio)
        self._timeline.sent(piece.start, samples)
        self._state.samples_sent += samples
        self._state.sent.set()
        self._audio_at = self._written_at = self._clock()
        self._silent_at = None
        await self._socket.send(piece.audio)

    async def _wait(self) -> None:
        """Wait until there is something to send, or a keepalive is due."""
        try:
            async with asyncio.timeout_at(self._due_at()):
                await self._state.changed.wait()
            self._state.changed.clear()
        except TimeoutError:
            await self._fill_pause()

    def _due_at(self) -> float | None:
        if self._asked_to_close:
            return None
        if not self._state.turns.open:
            self._silent_at = None
            return self._written_at + self._options.keep_alive_seconds
        if self._silent_at is None:
            return self._audio_at + self._options.silence_after_seconds
        return self._silent_at + _SILENCE_SECONDS

    async def _fill_pause(self) -> None:
        """Fill a pause in the caller's audio. In a turn, send silence in real time, so that the turn can end. Otherwise
        send a keepalive: waiting audio if there is some, else Nova's keepalive message, or silence to Flux."""
        due = self._due_at()
        self._written_at = self._clock()
        if self._state.turns.open:
            late = due is None or self._written_at - due > _SILENCE_SECONDS
            self._silent_at = self._written_at if late else due
        elif self._state.buffer.unsent:
            await self._send_piece()
            return
        elif not self._options.is_flux:
            await self._socket.send('{"type":"KeepAlive"}')
            return
        samples = self._format.samples(self._silence)
        self._timeline.filled(samples)
        self._state.samples_sent += samples
        await self._socket.send(self._silence)

    async def _end_orphaned_turn(self) -> None:
        await asyncio.sleep(self._options.orphan_seconds)
        if self._state.turns.orphaned:
            self._state.emit(*self._state.turns.close())


def socket_error(error: Exception) -> ProviderError | None:
    """Map an error of the socket library to ours; None for any other error."""
    match error:
        case InvalidStatus():
            return status_error(error.response.status_code, dict(error.response.headers.raw_items()))
        case InvalidHandshake() | InvalidURI():
            kind = ProviderProtocolError if isinstance(error, InvalidUpgrade) else ProviderUnavailable
            return kind(PROVIDER, f"the socket did not open ({type(error).__name__})")
        case ConnectionClosed():
            return _closed_error(error)
        case TimeoutError():
            return ProviderTimeout(PROVIDER, "no answer before the deadline")
        case OSError():
            return ProviderUnavailable(PROVIDER, f"no connection ({type(error).__name__})")
        case _:
            return None


def status_error(status: int, headers: dict[str, Any]) -> ProviderError:
    """Map an HTTP error status, with the vendor's headers, to our error."""
    known = {name.lower(): str(value) for name, value in headers.items()}
    request_id = known.get("dg-request-id")
    message = f"HTTP {status}" + (f", {known['dg-error'][:200]}" if "dg-error" in known else "")
    if status == 429:
        wished = retry_after_seconds(known.get("retry-after"))
        return ProviderRateLimited(PROVIDER, message, retry_after=wished, request_id=request_id)
    if status in (408, 504):
        return ProviderTimeout(PROVIDER, message, request_id=request_id)
    if status >= 500:
        return ProviderUnavailable(PROVIDER, message, request_id=request_id)
    if status < 300:
        return ProviderProtocolError(PROVIDER, message, request_id=request_id)
    return ProviderRejected(PROVIDER, message, status=status, request_id=request_id)


def _closed_error(error: ConnectionClosed) -> ProviderError:
    """Map a close by the code in its reason, because one close code has had several meanings."""
    if error.rcvd is None:
        if error.sent is not None and "ping timeout" in error.sent.reason:
            return ProviderTimeout(PROVIDER, "the connection died without a word")
        return ProviderUnavailable(PROVIDER, "the connection was cut")
    code = re.search(r"\b(NET|DATA)-\d{4}\b", error.rcvd.reason)
    named = f"closed with {error.rcvd.code}" + (f", {code[0]}" if code else "")
    match code[0] if code else None:
        case "NET-0000":
            return ProviderTimeout(PROVIDER, named)
        case "DATA-0000":
            return ProviderRejected(PROVIDER, named)
        case _:
            return ProviderUnavailable(PROVIDER, named)
