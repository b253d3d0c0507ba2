"""A vendor that nobody has heard of: it hears, thinks and speaks, on the base that all vendors' clients have."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Self

from app.clients.entry import ClientSetup
from app.clients.resilient import BaseResilientClient
from app.errors import ProviderError
from app.models import Message, Patience, TokenUsage, TranscriptionResult, VoiceConfig
from app.observability.listeners import Listeners
from app.ports.streams import (
    ModelEvent,
    ModelFinished,
    SpeechEvent,
    SpokenWord,
    TextDelta,
    ToolSpec,
    Transcript,
    TurnEnded,
    TurnUpdated,
    VoiceAudio,
    VoiceEvent,
    VoiceWords,
)
from app.ports.vendors import (
    Charge,
    GeneratedText,
    LlmCapabilities,
    LlmOptions,
    SttCapabilities,
    SttOptions,
    TtsCapabilities,
    TtsOptions,
)
from media.formats import ENCODINGS, AudioFormat

QUESTION = "When do you open?"
PRICE = 0.01


class ToyClient(BaseResilientClient):
    """What the three have in common."""

    def __init__(self, provider: str, setup: ClientSetup) -> None:
        super().__init__(retry=setup.retry, observer=setup.observer)
        self.provider = provider
        self.is_open = True
        self.warm_ups = 0

    async def warm_up(self) -> None:
        self.warm_ups += 1

    async def aclose(self) -> None:
        self.is_open = False


class ToyStream:
    """Takes every sound for the same question, which is over with the sound."""

    dropped_seconds = owed_seconds = 0.0

    def __init__(self, client: "ToySTT") -> None:
        self.provider = client.provider
        self.on_working = Listeners[[]]("toy.working")
        self._client = client
        self._seconds = 0.0
        self._events: asyncio.Queue[SpeechEvent] = asyncio.Queue()

    def charges(self) -> list[Charge]:
        seconds = round(self._seconds, 3)
        return [Charge(provider=self.provider, model=self._client.model, cost=PRICE, seconds=seconds)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        return None

    def send(self, audio: bytes) -> None:
        self._seconds += self._client.audio_format.seconds(audio)

    def note_sound(self, *, is_heard: bool) -> None:
        transcript = Transcript(QUESTION, confidence=0.9, language=self._client.options.language)
        self._events.put_nowait(TurnUpdated(transcript) if is_heard else TurnEnded(transcript))

    def set_patience(self, patience: Patience) -> None:
        """The sound alone ends a turn."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        return await self._events.get()


class ToySTT(ToyClient):
    """Hears."""

    def __init__(self, provider: str, setup: ClientSetup, options: SttOptions, audio_format: AudioFormat) -> None:
        super().__init__(provider, setup)
        self.options, self.audio_format = options, audio_format
        self.model = options.model
        self.listened: list[str] = []
        """Ids of the calls."""

    @property
    def capabilities(self) -> SttCapabilities:
        return SttCapabilities(languages=frozenset({"en", "ru"}), encodings=frozenset({"pcm_s16le"}))

    def recording_charge(self, seconds: float) -> Charge:
        return Charge(provider=self.provider, model=self.model, cost=0.0, seconds=seconds)

    def listen(self, *, call_id: str, language: str | None = None) -> ToyStream:
        self.listened.append(call_id)
        return ToyStream(self)

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        return TranscriptionResult(QUESTION, 0.9, self.options.language, self.audio_format.seconds(audio_data), [])


class ToyLLM(ToyClient):
    """Thinks: it knows one answer."""

    def __init__(self, provider: str, setup: ClientSetup, options: LlmOptions) -> None:
        super().__init__(provider, setup)
        self.model = options.model
        self.asked: list[tuple[str | None, list[Message]]] = []

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(tools=False)

    async def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append((call_id, list(messages)))
        async with self.attempt("think") as attempt:
            for token in ("At ", "nine, ", f"says {self.model}."):
                await asyncio.sleep(0.05)
                attempt.answered("toy-1")
                yield TextDelta(token)
        yield ModelFinished("stop", TokenUsage(50, 0, 5, PRICE), "toy-1", self.provider, self.model)

    async def generate(
        self, messages: list[Message], *, schema: Mapping[str, Any], call_id: str | None = None
    ) -> GeneratedText:
        return GeneratedText('{"summary": "A toy called."}', TokenUsage(50, 0, 5, PRICE), self.model)

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        return TokenUsage(50, 0, 0, PRICE)


class ToyUtterance:
    """A twentieth of a second for each letter."""

    def __init__(self, client: "ToyTTS", voice: VoiceConfig) -> None:
        self._client = client
        self._voice = voice
        self._format = AudioFormat(voice.encoding, voice.sample_rate)
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._characters = 0

    def charges(self) -> list[Charge]:
        charge = Charge(
            provider=self._client.provider, model=self._voice.model, cost=PRICE, characters=self._characters
        )
        return [charge] if self._characters else []

    async def say(self, text: str) -> None:
        self._characters += len(text)
        self._texts.put_nowait(text)

    async def finish(self) -> None:
        self._texts.put_nowait(None)

    def cancel(self) -> None:
        return None

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        at = 0.0
        while (text := await self._texts.get()) is not None:
            await asyncio.sleep(0.05)
            for word in text.split():
                seconds = 0.05 * len(word)
                yield VoiceWords((SpokenWord(word, at, at + seconds),))
                yield VoiceAudio(self._format.silence(round(seconds * self._format.sample_rate)))
                at += seconds


class ToyTTS(ToyClient):
    """Speaks."""

    variant = ""

    @property
    def first_choice(self) -> "ToyTTS":
        return self

    def __init__(self, provider: str, setup: ClientSetup, options: TtsOptions) -> None:
        super().__init__(provider, setup)
        self.spoken: list[tuple[str, VoiceConfig]] = []
        """By which call, and how."""

    @property
    def capabilities(self) -> TtsCapabilities:
        return TtsCapabilities(word_times=True, languages=None, encodings=ENCODINGS)

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> ToyUtterance:
        self.spoken.append((call_id, voice))
        return ToyUtterance(self, voice)
