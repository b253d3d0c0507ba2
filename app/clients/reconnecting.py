"""A speech-to-text stream that outlives its connections.

A vendor adds a connection (:class:`SttConnection`) and how to open it. The rest is here: audio whose transcript is not
final is sent again on a new connection, attempts are spaced and finally given up, and events report both.
"""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, Self

import structlog

from app.backoff import Backoff
from app.clients.replay_buffer import ReplayBuffer
from app.clients.resilient import BaseResilientClient
from app.clients.stream_state import SttStreamState, TurnsT
from app.errors import BreakerOpen, ProviderError, ProviderRateLimited
from app.models import Patience
from app.observability.listeners import Listeners
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored
from app.ports.vendors import Charge
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_PIECE_SECONDS = 0.08
"""The longest message. Backlogs, and audio while nobody speaks, are sent in pieces of this length; other audio is sent
as it comes."""
_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0, immediate_retries=1, jitter=0.25)
_PROVEN_SECONDS = 5.0
"""A connection that has lived this long ends the outage before it, as does one that was steady and got an answer."""


class SttConnection(Protocol):
    """An open connection to a vendor. It takes audio from the stream's state and puts events into it."""

    on_working: Listeners[[]]
    """Called when the vendor has answered, or the connection has stayed open for long enough."""
    follows_a_stall: bool
    """Whether the connection before this one stalled. Then the start of a turn does not prove that this one works."""

    @property
    def request_id(self) -> str | None:
        """The vendor's id of the connection, if it has one."""

    @property
    def heard(self) -> bool:
        """Whether the vendor has sent anything about the audio."""

    @property
    def stalled(self) -> bool:
        """Whether the connection was given up because the vendor sent nothing."""

    @property
    def useful_seconds(self) -> float:
        """How long the connection has worked, in seconds."""

    @property
    def owed_seconds(self) -> float:
        """How long the vendor has owed a message; 0 while none is due."""

    async def replay(self) -> None:
        """Send the audio that must be sent again, and what has come since. Raises ProviderError."""

    async def run(self) -> None:
        """Run until the stream has finished. Raises ProviderError when the connection is lost."""

    def abort(self) -> None:
        """Abort the connection without a closing handshake."""

    async def close(self) -> None:
        """Close the connection with a closing handshake."""


@dataclass(frozen=True, slots=True)
class StreamPatience:
    """How long a stream waits for its vendor. All values are in seconds."""

    connect_seconds: float
    """How long a connection may take to open."""
    give_up_seconds: float
    """How long the stream tries to replace a lost connection."""
    steady_seconds: float
    """A connection that has got an answer and lived this long counts as good."""
    replay_seconds: float
    """How much audio is kept to be sent again, and while there is no connection."""


class ReconnectingStream(ABC, Generic[TurnsT]):
    """The caller's speech as events. Use it as an async context manager, and iterate it once.

    The task ``<provider>-stream`` runs while the context is entered: it opens a connection, reads it, and opens the
    next when it is lost. The tasks of a connection end with it.
    """

    def __init__(
        self,
        client: BaseResilientClient,
        turns: TurnsT,
        *,
        audio_format: AudioFormat,
        patience: StreamPatience,
    ) -> None:
        """``client`` guards the attempts to connect and counts lost connections."""
        self._client = client
        self._format = audio_format
        self._patience = patience
        capacity = round(patience.replay_seconds * audio_format.sample_rate)
        self._state = SttStreamState(
            buffer=ReplayBuffer(sample_bytes=audio_format.sample_bytes, capacity=capacity),
            turns=turns,
            piece=round(_PIECE_SECONDS * audio_format.sample_rate),
        )
        self._task: asyncio.Task[None] | None = None
        self._connection: SttConnection | None = None
        self._alone_since: float | None = None
        """Since when there is no connection."""
        self.on_working = Listeners[[]]("stream.working")
        """Called when a connection works."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.buffer!r}>"

    @abstractmethod
    async def connect(self, seconds: float) -> SttConnection:
        """Open a connection on ``self._state`` within that time. Raises errors that ``map_error`` knows."""

    @abstractmethod
    def charges(self) -> list[Charge]:
        """The charges so far, by vendor and model, even if nothing was sent."""

    @property
    def provider(self) -> str:
        """The vendor's name."""
        return self._client.provider

    @property
    def request_ids(self) -> list[str]:
        """The vendor's ids of the connections so far."""
        return self._state.request_ids

    @property
    def audio_seconds_sent(self) -> float:
        """Seconds of audio sent to the vendor, with repetitions and silence. The vendor charges for them."""
        return self._state.samples_sent / self._format.sample_rate

    @property
    def dropped_seconds(self) -> float:
        """Seconds of the caller's audio that were dropped because no connection was open in time."""
        return self._state.buffer.dropped / self._format.sample_rate

    @property
    def owed_seconds(self) -> float:
        """How long the vendor has owed a connection, or a message on it; 0 while none is due."""
        if self._connection is not None:
            return self._connection.owed_seconds
        since = self._alone_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    @property
    def ignored_messages(self) -> int:
        """Number of messages of an unknown type or outside the vendor's protocol."""
        return self._state.ignored

    async def __aenter__(self) -> Self:
        self._alone_since = asyncio.get_running_loop().time()
        name = f"{self.provider}-stream"
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        event = await self._state.events.next()
        if event is not None:
            return event
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()  # raises if a bug has ended the task
        raise StopAsyncIteration

    def send(self, audio: bytes) -> None:
        """Queue the caller's next audio, of any length, in the stream's format. Does not wait.

        While the caller makes a sound or a turn is open, the audio is sent at once, otherwise 80 ms at a time. At most
        ``replay_seconds`` wait; beyond that, the oldest audio is dropped and counted.
        """
        self._state.buffer.append(audio)
        if self._state.has_to_send:
            self._state.changed.set()

    def note_sound(self, *, is_heard: bool) -> None:
        """Note that the caller has started or stopped making sound. A vendor that is silent meanwhile has stalled."""
        self._state.note_sound(is_heard=is_heard, now=asyncio.get_running_loop().time())

    def set_patience(self, patience: Patience) -> None:
        """How long to wait for more in a pause. Each connection takes it up that can; the others go on as before."""
        self._state.patience = patience
        self._state.changed.set()

    async def room(self) -> None:
        """Wait until less than half of the buffer is unsent. For audio that comes faster than real time."""
        while self._state.buffer.unsent * 2 >= self._state.buffer.capacity and not self._state.events.closed:
            self._state.sent.clear()
            await self._state.sent.wait()

    async def finish(self) -> None:
        """End the audio. Returns when the last words have come, or the vendor is silent for too long."""
        self._state.finishing = True
        self._state.changed.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """End at once: audio that is not transcribed yet is lost. The iteration ends after the queued events."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._state.close()

    async def _run(self) -> None:
        try:
            await self._listen()
        finally:
            self._state.close()
            log.info(
                "stream.closed",
                provider=self.provider,
                audio_seconds=round(self.audio_seconds_sent, 2),
                dropped_seconds=round(self.dropped_seconds, 2),
                ignored_messages=self.ignored_messages,
                dropped_events=self._state.events.dropped,
                request_ids=self.request_ids,
            )

    async def _listen(self) -> None:
        clock = asyncio.get_running_loop().time
        outage = _Outage(clock(), self._patience.give_up_seconds)
        while True:
            loss, proven = await self._one_connection(outage)
            if loss is None:
                self._state.emit(*self._state.turns.close())
                return
            self._state.buffer.rewind()
            if proven:
                outage = _Outage(clock(), self._patience.give_up_seconds, stalled=outage.stalled)
            delay = outage.next_delay(loss, clock())
            if delay is None:
                self._state.emit(StreamLost(loss, final=True))
                return
            if not outage.announced:
                outage.announced = True
                self._state.emit(StreamLost(loss, final=False))
            await asyncio.sleep(delay)

    async def _one_connection(self, outage: "_Outage") -> tuple[ProviderError | None, bool]:
        """Run one connection. Returns its loss (None: the stream has finished) and whether it was good."""
        try:
            slot = await self._client.limiter.acquire()
        except ProviderError as error:
            return error, False
        try:
            return await self._one_in_its_slot(outage)
        finally:
            slot.release()

    async def _one_in_its_slot(self, outage: "_Outage") -> tuple[ProviderError | None, bool]:
        loop = asyncio.get_running_loop()
        try:
            connection = await self._open(min(self._patience.connect_seconds, outage.ends_at - loop.time()))
        except ProviderError as error:
            return error, False
        opened_at = loop.time()
        connection.on_working.add(partial(self._announce_restored, outage, opened_at))
        connection.on_working.add(self.on_working)
        connection.follows_a_stall = outage.stalled
        self._connection = connection
        try:
            await connection.replay()
            await connection.run()
        except ProviderError as error:
            connection.abort()
            self._connection, self._alone_since = None, loop.time()
            self._client.note_broken_off("stream", error, opened_at)
            outage.lost(loop.time(), stalled=connection.stalled)
            needed = self._patience.steady_seconds if connection.heard else _PROVEN_SECONDS
            return error, connection.useful_seconds >= needed
        finally:
            await connection.close()
        return None, True

    def _announce_restored(self, outage: "_Outage", opened_at: float) -> None:
        if outage.announced:
            outage.announced = False
            self._state.emit(StreamRestored(gap_seconds=opened_at - outage.lost_at))

    async def _open(self, seconds: float) -> SttConnection:
        async with self._client.attempt("listen", takes_turn=False) as attempt:
            connection = await self.connect(seconds)
            attempt.answered(connection.request_id)
            return connection


class _Outage:
    """A time without a good connection: when to try again, and when to give up."""

    def __init__(self, now: float, give_up_seconds: float, *, stalled: bool = False) -> None:
        self.lost_at = now
        self.stalled = stalled
        """Whether the last connection stalled, rather than broke."""
        self.ends_at = now + give_up_seconds
        self.announced = False
        self._failures = 0

    def lost(self, now: float, *, stalled: bool) -> None:
        """Note the loss of a connection. The gap goes on until a restored stream has been announced."""
        self.stalled = stalled
        if not self.announced:
            self.lost_at = now

    def next_delay(self, loss: ProviderError, now: float) -> float | None:
        """Seconds to wait. None when another attempt would not help, or would come too late."""
        if not (loss.retryable or isinstance(loss, BreakerOpen)):
            return None
        self._failures += 1
        delay = _BACKOFF.delay(self._failures)
        if isinstance(loss, ProviderRateLimited):
            delay = max(delay, loss.retry_after or 0.0)
        return delay if now + delay < self.ends_at else None
