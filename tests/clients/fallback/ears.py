"""A chain of scripted recognisers, with production's patience; in virtual time."""

import asyncio
from typing import Any, Self, cast

from app.clients.entry import SttSession
from app.clients.fallback.hearing import FallbackHearing
from app.clients.fallback.hearing_link import SttLink
from app.errors import ProviderError, ProviderUnavailable
from app.models import Patience, TranscriptionResult
from app.observability.listeners import Listeners
from app.ports.streams import HeardWord, SpeechEvent, StreamLost, Transcript, TurnEnded, TurnUpdated
from app.ports.vendors import Charge, SttCapabilities
from media.formats import ENCODINGS, AudioFormat

FORMAT = AudioFormat("pcm_s16le", 8000)
_WORDS_SECONDS, _END_SECONDS = 0.3, 0.25


class Ear:
    """One vendor: hears its text in every sound, or fails, or hangs."""

    def __init__(self, name: str, *, text: str = "when do you open", fails: ProviderError | None = None) -> None:
        self.provider, self.model, self.text = name, f"{name}-1", text
        self.fails = fails
        self.hangs = False
        self.cuts = False
        """Whether it takes every connection, and cuts it at once; a stream reconnects 10 ms later."""
        self.streams: list[EarStream] = []

    @property
    def capabilities(self) -> SttCapabilities:
        return SttCapabilities(languages=None, encodings=ENCODINGS)

    @property
    def is_down(self) -> bool:
        return self.fails is not None

    def listen(self, *, call_id: str, language: str | None = None) -> "EarStream":
        self.streams.append(EarStream(self, call_id, language))
        return self.streams[-1]

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        if self.fails is not None:
            raise self.fails
        return TranscriptionResult(self.text, 0.9, "en", FORMAT.seconds(audio_data), [])


class EarStream:
    """A stream. A sound has words 0.3 s after it was noticed or replayed, and ends 0.25 s after its end."""

    dropped_seconds = 0.0

    def __init__(self, ear: Ear, call_id: str, language: str | None) -> None:
        self.provider, self.call_id, self._ear = ear.provider, call_id, ear
        self.language = language
        self.audio = b""
        self.patience: list[Patience] = []
        self.on_working = Listeners[[]]("ear.working")
        self.is_open = False
        self._sound_since: float | None = None
        self._answered = True
        self._begins = 0.0
        """Where the current sound begins, in seconds of the stream."""
        self._timers: list[asyncio.TimerHandle] = []
        self._events: asyncio.Queue[SpeechEvent] = asyncio.Queue()

    @property
    def owed_seconds(self) -> float:
        since = self._sound_since
        return 0.0 if since is None or self._answered else asyncio.get_running_loop().time() - since

    def charges(self) -> list[Charge]:
        seconds = round(FORMAT.seconds(self.audio), 3)
        return [Charge(provider=self.provider, model=self._ear.model, cost=seconds / 1000, seconds=seconds)]

    async def __aenter__(self) -> Self:
        self.is_open = True
        if self._ear.fails is not None:
            self._events.put_nowait(StreamLost(self._ear.fails, final=True))
        elif self._ear.cuts:
            self._later(0.0, self._works_and_is_cut)
        else:
            self._later(1.0, self.on_working)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.is_open = False
        for timer in self._timers:
            timer.cancel()

    def send(self, audio: bytes) -> None:
        self.audio += audio

    def note_sound(self, *, is_heard: bool) -> None:
        if is_heard:
            self._sound_since, self._answered = asyncio.get_running_loop().time(), False
            self._begins = FORMAT.seconds(self.audio)
            self._later(_WORDS_SECONDS, lambda: self._hear(TurnUpdated))
        elif self._sound_since is not None:
            self._later(_END_SECONDS, lambda: self._hear(TurnEnded))

    def set_patience(self, patience: Patience) -> None:
        self.patience.append(patience)

    def loses(self, error: ProviderError, *, final: bool = True) -> None:
        self._events.put_nowait(StreamLost(error, final=final))

    def _works_and_is_cut(self) -> None:
        self.on_working()
        self.loses(ProviderUnavailable(self.provider, "cut"), final=False)
        self._later(0.01, self._works_and_is_cut)

    def _hear(self, kind: type[TurnUpdated] | type[TurnEnded]) -> None:
        if not self._ear.hangs:
            self._answered = True
            begins = self._begins
            words = tuple(
                HeardWord(word, begins + 0.1 * i, begins + 0.1 * i + 0.1, 0.9)
                for i, word in enumerate(self._ear.text.split())
            )
            self._events.put_nowait(kind(Transcript(self._ear.text, words, 0.9, "en")))

    def _later(self, seconds: float, act: Any) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        return await self._events.get()


def chain_of(*ears: Ear) -> FallbackHearing:
    links = [SttLink(ear.provider, cast(SttSession, ear), late_seconds=0.7) for ear in ears]

    async def sentence() -> bytes:
        return FORMAT.silence(8000)

    return FallbackHearing(links, FORMAT, sentence=sentence)
