"""The caller's speech as one stream of events, whatever happens to the connections that carry it.

What a vendor adds is a connection (:class:`SttConnection`) and how it opens; the rest is here: what was not transcribed
for good is sent again on a new connection, attempts are spaced and in the end given up, and the reader is told of it.
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
"""The longest message: a backlog goes out in these, and what is heard while nobody speaks; else audio goes out as it
comes."""
_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0, immediate_retries=1, jitter=0.25)
_PROVEN_SECONDS = 5.0
"""A connection that lived so long, or was steady and heard something, ends the outage before it; until then attempts
are spaced, and in the end given up."""


class SttConnection(Protocol):
    """One open connection of a vendor. It takes audio from the stream's state and puts events into it."""

    on_working: Listeners[[]]
    """The connection calls it when the connection has shown that it hears, or has stayed open for long enough."""
    follows_a_stall: bool
    """The connection before this one fell silent, so that a beginning proves nothing."""

    @property
    def request_id(self) -> str | None:
        """The vendor's id of the connection, if it has one."""

    @property
    def heard(self) -> bool:
        """Whether the vendor said anything about the audio."""

    @property
    def stalled(self) -> bool:
        """Whether it was given up because it said nothing."""

    @property
    def useful_seconds(self) -> float:
        """How long it has been of use."""

    async def replay(self) -> None:
        """Send what has to be heard again, and what has come since. Raises ProviderError."""

    async def run(self) -> None:
        """Until the stream has finished. Raises ProviderError when the connection is lost."""

    def abort(self) -> None:
        """Cut the connection without a goodbye."""

    async def close(self) -> None:
        """Close it in order."""


@dataclass(frozen=True, slots=True)
class StreamPatience:
    """How long a stream waits for its vendor, in seconds."""

    connect_seconds: float
    """For the opening of a connection."""
    give_up_seconds: float
    """How long a lost connection is tried again."""
    steady_seconds: float
    """A connection that has heard something and lived so long is a good one."""
    replay_seconds: float
    """How much audio is kept for a new connection, and while there is none."""


class ReconnectingStream(ABC, Generic[TurnsT]):
    """The caller's speech as events. Use as an async context manager, and iterate once.

    One task, ``<provider>-stream``, lives from entering to leaving: it opens a connection, reads it, and begins anew
    when it is lost. What tasks a connection has end with it. None is left behind.
    """

    def __init__(
        self,
        client: BaseResilientClient,
        turns: TurnsT,
        *,
        audio_format: AudioFormat,
        patience: StreamPatience,
    ) -> None:
        """``client`` guards the attempts to connect, and counts each connection that is lost later."""
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.buffer!r}>"

    @abstractmethod
    async def connect(self, seconds: float) -> SttConnection:
        """Open a connection within that time, on ``self._state``. Raises what the client's ``map_error`` translates."""

    @abstractmethod
    def charges(self) -> list[Charge]:
        """What was heard so far, by vendor and model; also when it was nothing."""

    @property
    def provider(self) -> str:
        """The vendor that hears."""
        return self._client.provider

    @property
    def request_ids(self) -> list[str]:
        """The vendor's ids of the connections so far."""
        return self._state.request_ids

    @property
    def audio_seconds_sent(self) -> float:
        """Seconds of audio that the vendor was sent, with repetitions and silence: what it will charge."""
        return self._state.samples_sent / self._format.sample_rate

    @property
    def dropped_seconds(self) -> float:
        """Seconds of the caller that no connection heard, because none was there in time."""
        return self._state.buffer.dropped / self._format.sample_rate

    @property
    def ignored_messages(self) -> int:
        """Messages that were of an unknown type or not of the vendor's protocol."""
        return self._state.ignored

    async def __aenter__(self) -> Self:
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
            self._task.result()  # a bug of ours ends the iteration loudly
        raise StopAsyncIteration

    def send(self, audio: bytes) -> None:
        """The caller's next audio, of any length, in the stream's format. Never waits.

        It is sent at once while the caller makes a sound or a turn is open, else 80 ms at a time. What waits is bounded
        by ``replay_seconds``; beyond that the oldest is dropped and counted.
        """
        self._state.buffer.append(audio)
        if self._state.has_to_send:
            self._state.changed.set()

    def note_sound(self, *, is_heard: bool) -> None:
        """The caller began, or ceased, to make a sound: a vendor without an event during it has stalled."""
        self._state.sound_since = asyncio.get_running_loop().time() if is_heard else None
        if is_heard:
            self._state.changed.set()

    def set_patience(self, patience: Patience) -> None:
        """How long to wait for more in a pause. Each connection takes it up that can; the others go on as before."""
        self._state.patience = patience
        self._state.changed.set()

    async def room(self) -> None:
        """Wait until less than half of the buffer is unsent: for those who have audio faster than it is spoken."""
        while self._state.buffer.unsent * 2 >= self._state.buffer.capacity and not self._state.events.closed:
            self._state.sent.clear()
            await self._state.sent.wait()

    async def finish(self) -> None:
        """No more audio comes: returns when the last words are there, or when the vendor says nothing for too long."""
        self._state.finishing = True
        self._state.changed.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """End at once; what was not heard yet is lost. The iteration ends after the events that are there."""
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
        """From opening to loss: the loss, None when all is heard; and whether the connection was any good."""
        loop = asyncio.get_running_loop()
        try:
            connection = await self._open(min(self._patience.connect_seconds, outage.ends_at - loop.time()))
        except ProviderError as error:
            return error, False
        opened_at = loop.time()
        connection.on_working.add(partial(self._tell_restored, outage, opened_at))
        connection.follows_a_stall = outage.stalled
        try:
            await connection.replay()
            await connection.run()
        except ProviderError as error:
            connection.abort()
            self._client.note_broken_off("stream", error, opened_at)
            outage.lost(loop.time(), stalled=connection.stalled)
            needed = self._patience.steady_seconds if connection.heard else _PROVEN_SECONDS
            return error, connection.useful_seconds >= needed
        finally:
            await connection.close()
        return None, True

    def _tell_restored(self, outage: "_Outage", opened_at: float) -> None:
        if outage.announced:
            outage.announced = False
            self._state.emit(StreamRestored(gap_seconds=opened_at - outage.lost_at))

    async def _open(self, seconds: float) -> SttConnection:
        async with self._client.attempt("listen") as attempt:
            connection = await self.connect(seconds)
            attempt.answered(connection.request_id)
            return connection


class _Outage:
    """The time without a good connection: when to try again, and when no more."""

    def __init__(self, now: float, give_up_seconds: float, *, stalled: bool = False) -> None:
        self.lost_at = now
        self.stalled = stalled
        """Whether the last connection fell silent, rather than broke."""
        self.ends_at = now + give_up_seconds
        self.announced = False
        self._failures = 0

    def lost(self, now: float, *, stalled: bool) -> None:
        """A connection is gone; while none has been told as restored, the gap goes on."""
        self.stalled = stalled
        if not self.announced:
            self.lost_at = now

    def next_delay(self, loss: ProviderError, now: float) -> float | None:
        """Seconds to wait; None when another attempt would not help, or its time would be after the end."""
        if not (loss.retryable or isinstance(loss, BreakerOpen)):
            return None
        self._failures += 1
        delay = _BACKOFF.delay(self._failures)
        if isinstance(loss, ProviderRateLimited):
            delay = max(delay, loss.retry_after or 0.0)
        return delay if now + delay < self.ends_at else None
