"""The caller's speech as one stream of events, whatever happens to the sockets that carry it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Self

import structlog

from app.backoff import Backoff
from app.clients.deepgram.connection import DeepgramConnection, Endpoint
from app.clients.deepgram.flux_messages import FluxTurns
from app.clients.deepgram.messages import PROVIDER, DeepgramOptions
from app.clients.deepgram.nova_messages import NovaTurns
from app.clients.deepgram.replay_buffer import ReplayBuffer
from app.clients.deepgram.stream_state import SttStreamState
from app.clients.prices import Prices
from app.clients.resilient import BaseResilientClient
from app.errors import BreakerOpen, ProviderError, ProviderRateLimited
from app.ports.streams import SpeechEvent, StreamLost, StreamRestored
from app.ports.vendors import Charge
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_PIECE_SECONDS = 0.08
"""The longest message: a backlog goes out in these, and what is heard while nobody speaks; else audio goes out as it
comes. Deepgram recommends 80 ms for Flux."""
_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0, immediate_retries=1, jitter=0.25)
_PROVEN_SECONDS = 5.0
"""A socket that lived so long, or was steady and heard something, ends the outage before it; until then attempts are
spaced, and in the end given up."""


class DeepgramStream:
    """The caller's speech as events. Use as an async context manager, and iterate once.

    One task lives from entering to leaving: it opens a socket, reads it, and begins anew when it is lost; two more live
    as long as a socket does, to write to it and to see that it answers. None is left behind.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        client: BaseResilientClient,
        audio_format: AudioFormat,
        options: DeepgramOptions,
        prices: Prices,
        on_loss: Callable[[ProviderError, float], None],
    ) -> None:
        """``client`` guards the attempts to connect; ``on_loss`` is told of each socket that is lost later,
        and of the loop time at which it was opened."""
        self._endpoint = endpoint
        self._client = client
        self._format = audio_format
        self._options = options
        self._prices = prices
        self._on_loss = on_loss
        capacity = round(options.replay_seconds * audio_format.sample_rate)
        self._ear = SttStreamState(
            buffer=ReplayBuffer(sample_bytes=audio_format.sample_bytes, capacity=capacity),
            turns=(FluxTurns if options.is_flux else NovaTurns)(options.known_language),
            piece=round(_PIECE_SECONDS * audio_format.sample_rate),
        )
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<DeepgramStream {self._options.model} {self._ear.buffer!r}>"

    @property
    def provider(self) -> str:
        """Whose client it is."""
        return self._client.provider

    def charges(self) -> list[Charge]:
        """What Deepgram was sent, with repetitions and silence; priced by the language the stream was opened with."""
        seconds = round(self.audio_seconds_sent, 3)
        cost = self._prices.stt_cost(self._options.model, self._options.language, seconds)
        last = self.request_ids[-1] if self.request_ids else None
        return [Charge(provider=PROVIDER, model=self._options.model, cost=cost, seconds=seconds, request_id=last)]

    @property
    def request_ids(self) -> list[str]:
        """Deepgram's ids of the sockets so far."""
        return self._ear.request_ids

    @property
    def audio_seconds_sent(self) -> float:
        """Seconds of audio that Deepgram was sent, with repetitions and silence: what it will charge."""
        return self._ear.samples_sent / self._format.sample_rate

    @property
    def dropped_seconds(self) -> float:
        """Seconds of the caller that no socket heard, because none was there in time."""
        return self._ear.buffer.dropped / self._format.sample_rate

    @property
    def ignored_messages(self) -> int:
        """Messages of Deepgram that were of an unknown type or not of its protocol."""
        return self._ear.ignored

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="deepgram-stream")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        event = await self._ear.events.next()
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
        self._ear.buffer.append(audio)
        if self._ear.has_to_send:
            self._ear.changed.set()

    def note_sound(self, *, is_heard: bool) -> None:
        """The caller began, or ceased, to make a sound: Deepgram has something to say of it, or is not heard itself."""
        self._ear.sound_since = asyncio.get_running_loop().time() if is_heard else None
        if is_heard:
            self._ear.changed.set()

    async def room(self) -> None:
        """Wait until less than half of the buffer is unsent: for those who have audio faster than it is spoken."""
        while self._ear.buffer.unsent * 2 >= self._ear.buffer.capacity and not self._ear.events.closed:
            self._ear.sent.clear()
            await self._ear.sent.wait()

    async def finish(self) -> None:
        """No more audio comes: returns when the last words are there, or 3 s after Deepgram's last message."""
        self._ear.finishing = True
        self._ear.changed.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """End at once; what was not heard yet is lost. The iteration ends after the events that are there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._ear.close()

    async def _run(self) -> None:
        try:
            await self._listen()
        finally:
            self._ear.close()
            log.info(
                "stream.closed",
                provider=PROVIDER,
                audio_seconds=round(self.audio_seconds_sent, 2),
                dropped_seconds=round(self.dropped_seconds, 2),
                ignored_messages=self.ignored_messages,
                dropped_events=self._ear.events.dropped,
                request_ids=self.request_ids,
            )

    async def _listen(self) -> None:
        clock = asyncio.get_running_loop().time
        outage = _Outage(clock(), self._options.give_up_seconds)
        while True:
            loss, proven = await self._one_socket(outage)
            if loss is None:
                self._ear.emit(*self._ear.turns.close())
                return
            self._ear.buffer.rewind()
            if proven:
                outage = _Outage(clock(), self._options.give_up_seconds, stalled=outage.stalled)
            delay = outage.next_delay(loss, clock())
            if delay is None:
                self._ear.emit(StreamLost(loss, final=True))
                return
            if not outage.announced:
                outage.announced = True
                self._ear.emit(StreamLost(loss, final=False))
            await asyncio.sleep(delay)

    async def _one_socket(self, outage: "_Outage") -> tuple[ProviderError | None, bool]:
        """From opening to loss: the loss, None when all is heard; and whether the socket was any good."""
        loop = asyncio.get_running_loop()
        try:
            conversation = await self._open(min(self._options.connect_seconds, outage.ends_at - loop.time()))
        except ProviderError as error:
            return error, False
        opened_at = loop.time()
        conversation.on_working = partial(self._tell_restored, outage, opened_at)
        conversation.follows_a_stall = outage.stalled
        try:
            await conversation.replay()
            await conversation.run()
        except ProviderError as error:
            conversation.abort()
            self._on_loss(error, opened_at)
            outage.lost(loop.time(), stalled=conversation.stalled)
            needed = self._options.steady_seconds if conversation.heard else _PROVEN_SECONDS
            return error, conversation.useful_seconds >= needed
        finally:
            await conversation.close()
        return None, True

    def _tell_restored(self, outage: "_Outage", opened_at: float) -> None:
        if outage.announced:
            outage.announced = False
            self._ear.emit(StreamRestored(gap_seconds=opened_at - outage.lost_at))

    async def _open(self, patience: float) -> DeepgramConnection:
        async with self._client.attempt("listen") as attempt:
            conversation = await DeepgramConnection.open(
                self._endpoint, self._ear, audio_format=self._format, options=self._options, patience=patience
            )
            attempt.answered(conversation.request_id)
            return conversation


class _Outage:
    """The time without a good socket: when to try again, and when no more."""

    def __init__(self, now: float, give_up_seconds: float, *, stalled: bool = False) -> None:
        self.lost_at = now
        self.stalled = stalled
        """Whether the last socket fell silent, rather than broke."""
        self.ends_at = now + give_up_seconds
        self.announced = False
        self._failures = 0

    def lost(self, now: float, *, stalled: bool) -> None:
        """A socket is gone; while none has been told as restored, the gap goes on."""
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
