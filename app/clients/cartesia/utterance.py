"""One utterance of the agent at Cartesia: clauses go in, audio and word times come out.

Usually it is one context at the vendor. A context expires 1 s after its last audio, so a clause that comes later than
that (a slow model, a tool) opens a new context, and its word times continue where the old one ended.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Protocol, assert_never

from app.clients.cartesia.context import SpokenContext, letters
from app.clients.cartesia.messages import (
    PROVIDER,
    Answer,
    AudioChunk,
    CartesiaOptions,
    ContextDone,
    WordTimestamps,
    cancel_request,
    speech_fields,
    text_request,
)
from app.clients.cartesia.socket import CartesiaSocket
from app.clients.cartesia.sound import SoundReader
from app.clients.limiter import Slot
from app.clients.prices import Prices
from app.clients.resilient import Attempt
from app.errors import BreakerOpen, ContentRejected, ProviderError, ProviderProtocolError, ProviderTimeout, WrongSound
from app.models import VoiceConfig
from app.ports.streams import VoiceAudio, VoiceEvent, VoiceWords
from app.ports.vendors import Charge
from media.formats import AudioFormat

_UNHEARD_SECONDS_MAX = 120


class UtteranceHost(Protocol):
    """What an utterance needs from the client."""

    def attempt(
        self, operation: str, *, insist: bool = False, takes_turn: bool = True
    ) -> AbstractAsyncContextManager[Attempt]:
        """Count and measure an attempt; raises BreakerOpen, but not with ``insist``."""

    def check_breaker(self) -> None:
        """Raises BreakerOpen while the breaker is open; takes no permit."""

    async def context_slot(self) -> Slot:
        """Permission for one context; raises Throttled."""

    def new_context_id(self, call_id: str) -> str:
        """A new, unique context id."""

    async def live_socket(self) -> CartesiaSocket:
        """An open socket; raises ProviderError."""


class CartesiaUtterance:
    """One task gives it text with :meth:`say` and :meth:`finish`; any task iterates it once to get the audio.

    The iteration raises every failure as ProviderError, after the audio that had arrived; from then on text is ignored.
    Up to 120 seconds of audio wait to be read; beyond that the utterance fails, because the socket's reader serves
    other calls and cannot wait. Leaving the iteration cancels the utterance.
    """

    def __init__(
        self,
        host: UtteranceHost,
        voice: VoiceConfig,
        options: CartesiaOptions,
        *,
        call_id: str,
        prices: Prices,
        insist: bool = False,
    ) -> None:
        """With ``insist`` the breaker does not refuse the utterance."""
        self._host = host
        self._options = options
        self._call_id = call_id
        self._prices = prices
        self._model = voice.model
        self._insist = insist
        self._speed = voice.speed
        self._fields = speech_fields(voice, options)
        self._format = AudioFormat(voice.encoding, voice.sample_rate)
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._context: SpokenContext | None = None
        self._reader = SoundReader(self._format)  # for the current context
        self._suspicion: tuple[float, ProviderError] | None = None
        self._socket: CartesiaSocket | None = None  # of the current context
        self._slot: Slot | None = None  # of the current context
        self._held_text = ""
        self._unread: deque[VoiceEvent] = deque()  # bounded by the seconds of its audio, see _take_audio
        self._unread_bytes = 0
        self._samples = 0
        self._news = asyncio.Event()
        self._first_text_at: float | None = None
        self._finished = self._cancelled = False
        self._error: ProviderError | None = None
        self.characters_sent = 0
        """The characters that the vendor bills, cancelled or not."""
        self.context_ids: list[str] = []
        """The contexts in the order of their opening; the vendor's logs contain these ids."""

    def charges(self) -> list[Charge]:
        """The charges, cancelled or not; empty while nothing was sent."""
        if not self.characters_sent:
            return []
        cost = self._prices.tts_cost(self._model, self.characters_sent)
        ids = tuple(self.context_ids)
        return [
            Charge(provider=PROVIDER, model=self._model, cost=cost, characters=self.characters_sent, request_ids=ids)
        ]

    # --- text in ------------------------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        """Speak this text next, verbatim. May wait for a new socket, never for audio.

        Text without a letter or digit makes no sound, and is sent together with the text after it.
        """
        self._held_text += text
        if self._takes_no_text or not letters(self._held_text):
            return
        context = await self._context_for_text()
        if context is None:
            return
        text, self._held_text = self._held_text, ""
        context.given(text, self._clock())
        self._post(text_request(self._fields, context.id, text, more=True))
        self.characters_sent += len(text)
        self._news.set()

    async def finish(self) -> None:
        """Say that there is no more text; the iteration ends with the audio of the last text."""
        if self._takes_no_text:
            return
        self._finished = True
        if self._context is not None and self._is_idle(self._context):
            self._leave_context()
        if self._context is not None:
            self._context.ended(self._clock())
            self._post(text_request(self._fields, self._context.id, "", more=False))
        self._news.set()

    def cancel(self) -> None:
        """Cancel: the iteration ends at once, and further audio from the vendor is dropped."""
        self._cancelled = True
        self._unread.clear()
        context = self._context
        if context is not None and context.owes and self._clock() - context.progress_at >= self._options.mute_seconds:
            self._retire_socket(context)
        self._cancel_context()
        self._news.set()

    # --- sound out ----------------------------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        """Audio and words until all is spoken or cancelled. Raises ProviderError, and BreakerOpen at the start."""
        try:
            first_text_at = await self._first_text()
            if first_text_at is None:
                return
            # each context takes a turn of its own
            async with self._host.attempt("utterance", insist=self._insist, takes_turn=False) as attempt:
                attempt.started_at = first_text_at
                while (event := await self._next_event()) is not None:
                    if isinstance(event, VoiceAudio):
                        attempt.answered(self.context_ids[0])
                    yield event
                if attempt.first_answer_at is None and self._cancelled:
                    raise _CancelledUnheard
        except _CancelledUnheard:
            return
        finally:
            self.cancel()

    async def _first_text(self) -> float | None:
        """Wait for the first text and return when it came; None when there will be none."""
        while self._first_text_at is None and not self._takes_no_text:
            await self._wait_for_news(None)
        if isinstance(self._error, BreakerOpen):
            raise self._error
        return self._first_text_at

    async def _next_event(self) -> VoiceEvent | None:
        """The next event; None at the end. Raises ProviderError."""
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._is_complete or self._cancelled:
                return None
            await self._wait_for_news(self._deadline)
            if self._deadline is not None and self._deadline <= self._clock():
                self._give_up()
        event = self._unread.popleft()
        if isinstance(event, VoiceAudio):
            self._unread_bytes -= len(event.audio)
        return event

    async def _wait_for_news(self, deadline: float | None) -> None:
        """Wait until something changes or the deadline passes."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._news.wait()

    @property
    def _deadline(self) -> float | None:
        """The deadline for the vendor's next message; None while nothing is due, as while the model is slow."""
        context = self._context
        if context is None or not context.owes:
            return None
        deadline = context.progress_at + self._patience(context)
        if context.heard_until is not None:  # a voice slower than speech is as good as silent
            deadline = min(deadline, context.heard_until + self._options.audio_gap_seconds)
        return min(deadline, self._suspicion[0]) if self._suspicion is not None else deadline

    def _patience(self, context: SpokenContext) -> float:
        if not context.has_sounded:
            return self._options.first_audio_seconds
        return self._options.next_text_seconds if context.awaits_next_text else self._options.audio_gap_seconds

    def _give_up(self) -> None:
        context = self._context
        if context is None:
            return
        if self._suspicion is not None:
            self._fail(self._suspicion[1])
            return
        awaited = "next" if context.has_sounded else "first"
        self._retire_socket(context)
        self._fail(ProviderTimeout(PROVIDER, f"no {awaited} audio before the deadline", request_id=context.id))

    def _retire_socket(self, context: SpokenContext) -> None:
        """It may be dead: the next context gets a new one."""
        if self._socket is not None and self._socket.stray_at <= context.progress_at:
            self._socket.retire()

    # --- called by the socket -------------------------------------------------------------------------------------

    def received(self, answer: Answer) -> None:
        """The next message of the current context."""
        context = self._context
        if context is None:
            return
        self._suspicion = None
        try:
            match answer:
                case AudioChunk():
                    self._take_audio(context, answer.audio)
                case WordTimestamps():
                    self._take_words(context, answer)
                case ContextDone():
                    self._take_end(context)
                case _:
                    assert_never(answer)
        except WrongSound as error:
            self._throw_away_unread()
            self._fail(error)
        self._news.set()

    def failed(self, error: ProviderError) -> None:
        """The current context is lost."""
        self._release_slot()
        context, self._context = self._context, None
        if isinstance(error, ContentRejected) and (self._suspicion or (context is not None and context.has_sounded)):
            # earlier text of the context was accepted, or it expired: a new context may well get the rest
            error = ProviderProtocolError(PROVIDER, f"{error.status} in the middle", request_id=error.request_id)
        self._fail(error)

    def suspected(self, error: ProviderError) -> None:
        """The vendor refused something without naming a context; this one fails only if it stops getting audio."""
        if self._context is not None and self._suspicion is None:
            self._suspicion = (self._clock() + self._options.suspect_seconds, error)
            self._news.set()

    def _take_audio(self, context: SpokenContext, audio: bytes) -> None:
        audio = self._reader.take(audio)
        samples = self._format.samples(audio)
        if not samples:
            return
        context.gave_audio(samples / self._format.sample_rate, self._clock())
        if context.sound_is_too_long:
            raise WrongSound(PROVIDER, "more sound than its words take", request_id=context.id)
        self._samples += samples
        self._unread_bytes += len(audio)
        self._unread.append(VoiceAudio(audio))
        if self._unread_bytes > _UNHEARD_SECONDS_MAX * self._format.sample_rate * self._format.sample_bytes:
            self._fail(ProviderProtocolError(PROVIDER, f"{_UNHEARD_SECONDS_MAX} s of audio wait unread"))

    def _take_words(self, context: SpokenContext, answer: WordTimestamps) -> None:
        words = context.gave_words(answer.words, self._clock(), is_whole=answer.is_whole)
        if words:
            shift = context.starts_at
            moved = tuple(replace(word, start=word.start + shift, end=word.end + shift) for word in words)
            self._unread.append(VoiceWords(moved))

    def _take_end(self, context: SpokenContext) -> None:
        self._release_slot()
        self._context = None
        if not context.has_sounded:
            self._fail(ProviderProtocolError(PROVIDER, "the text was not spoken", request_id=context.id))
        elif not context.has_said_all:
            self._fail(ProviderProtocolError(PROVIDER, "the sound ended before its text", request_id=context.id))

    def _throw_away_unread(self) -> None:
        """Discard audio that nobody should hear."""
        self._unread.clear()
        self._unread_bytes = 0

    # --- contexts -----------------------------------------------------------------------------------------------

    async def _context_for_text(self) -> SpokenContext | None:
        """The context for the next text, a new one if needed; None when the utterance is over."""
        if self._context is not None and not self._is_idle(self._context):
            return self._context
        self._leave_context()
        self._suspicion = None
        try:
            if self._first_text_at is None:
                self._first_text_at = self._clock()
                self._news.set()
                if not self._insist:
                    self._host.check_breaker()
            slot: Slot | None = await self._host.context_slot()
        except ProviderError as error:
            self._fail(error)
            return None
        try:
            socket = await self._host.live_socket()
            if not self._takes_no_text:
                self._slot, slot = slot, None
                return self._open_context(socket)
        except ProviderError as error:
            self._fail(error)
        finally:
            if slot is not None:
                slot.release()
        return None

    def _open_context(self, socket: CartesiaSocket) -> SpokenContext | None:
        context_id = self._host.new_context_id(self._call_id)
        self.context_ids.append(context_id)
        starts_at = self._samples / self._format.sample_rate
        self._context = SpokenContext(context_id, starts_at=starts_at, now=self._clock(), speed=self._speed)
        self._reader = SoundReader(self._format)
        self._socket = socket
        socket.attach(context_id, self)
        return self._context

    def _release_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    def _leave_context(self) -> None:
        self._release_slot()
        context, self._context = self._context, None
        if context is not None and self._socket is not None:
            self._socket.detach(context.id)

    def _cancel_context(self) -> None:
        if self._context is not None:
            self._post(cancel_request(self._context.id))
            self._leave_context()

    def _post(self, request: str) -> None:
        if self._socket is not None:
            self._socket.post(request)

    def _is_idle(self, context: SpokenContext) -> bool:
        if self._suspicion is not None and not context.owes:
            return True
        return context.is_idle(self._clock(), self._options.context_idle_seconds)

    # --- the end ------------------------------------------------------------------------------------------------

    @property
    def _takes_no_text(self) -> bool:
        return self._finished or self._cancelled or self._error is not None

    @property
    def _is_complete(self) -> bool:
        """Whether all audio of the text has arrived."""
        return self._finished and self._context is None

    def _fail(self, error: ProviderError) -> None:
        if self._error is None and not self._cancelled:
            self._error = error
        self._cancel_context()
        self._news.set()


class _CancelledUnheard(BaseException):
    """Ends an attempt without an outcome: we cancelled it before the vendor had answered."""
