"""Speech recognition, a model and a voice that follow a script, keep what they were asked, and fail on demand."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from app.calls.agent.tools import AgentTool
from app.clients.http_tools import NO_VALUES, HttpEndpoint, Method, RequestValues, ToolAnswer
from app.errors import ProviderError, ProviderUnavailable
from app.models import Message, Patience, TokenUsage, TranscriptionResult, VoiceConfig
from app.ports.streams import (
    ModelAccepted,
    ModelEvent,
    ModelFinished,
    SpeechEvent,
    SpokenWord,
    TextDelta,
    TextRetracted,
    ToolCall,
    ToolSpec,
    VoiceAudio,
    VoiceEvent,
    VoiceWords,
)
from app.ports.vendors import Charge, LlmCapabilities, SttCapabilities, TtsCapabilities
from media.formats import ENCODINGS, AudioFormat

NEVER = 3600.0


# --- speech recognition -----------------------------------------------------------------------------------------------


class ScriptedStream:
    """One call's words, as the test says them."""

    def __init__(self, provider: str = "deepgram", model: str = "nova-3") -> None:
        self.provider, self.model = provider, model
        self.audio_seconds_sent = self.dropped_seconds = 0.0
        self.heard: list[bytes] = []
        self.sounds: list[bool] = []
        self.patience: list[Patience] = []
        self.is_open = False
        self._events: asyncio.Queue[SpeechEvent | Exception | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.is_open = False

    def send(self, audio: bytes) -> None:
        self.heard.append(audio)
        self.audio_seconds_sent += len(audio) / 2 / 8000

    def charges(self) -> list[Charge]:
        seconds = round(self.audio_seconds_sent, 3)
        cost = 0.0048 * seconds / 60
        return [Charge(provider=self.provider, model=self.model, cost=cost, seconds=seconds, request_ids=("stt-1",))]

    def note_sound(self, *, is_heard: bool) -> None:
        self.sounds.append(is_heard)

    def set_patience(self, patience: Patience) -> None:
        self.patience.append(patience)

    def emit(self, event: SpeechEvent | Exception | None) -> None:
        """The next event; an exception is a bug of ours, None the end of the stream."""
        self._events.put_nowait(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SpeechEvent:
        event = await self._events.get()
        if isinstance(event, Exception):
            raise event
        if event is None:
            raise StopAsyncIteration
        return event


class ScriptedEars:
    """Opens one stream a call, by call id."""

    def __init__(self, provider: str = "deepgram", model: str = "nova-3") -> None:
        self.provider, self.model = provider, model
        self.streams: dict[str, ScriptedStream] = {}
        self.is_down = False
        self.recordings: list[bytes] = []
        """That were to be transcribed as a whole."""
        self.transcribes: list[TranscriptionResult | ProviderError] = []
        """What comes of them, in their order; the last one for ever after."""
        self.transcription_takes = 1.0

    @property
    def capabilities(self) -> SttCapabilities:
        return SttCapabilities(languages=None, encodings=ENCODINGS)

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        self.recordings.append(audio_data)
        await asyncio.sleep(self.transcription_takes)
        result = self.transcribes.pop(0) if len(self.transcribes) > 1 else self.transcribes[0]
        if isinstance(result, ProviderError):
            raise result
        return result

    def recording_charge(self, seconds: float) -> Charge:
        return Charge(provider=self.provider, model=self.model, cost=0.0043 * seconds / 60, seconds=seconds)

    def listen(self, *, call_id: str, language: str | None = None) -> ScriptedStream:
        self.streams[call_id] = ScriptedStream(self.provider, self.model)
        return self.streams[call_id]


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What the model writes next, word by word; times in seconds."""

    text: str = ""
    thinks: str = ""
    """Given before the text, and taken back."""
    first_token: float = 0.2
    each_token: float = 0.03
    fails: Exception | None = None
    """After the text."""
    hangs: bool = False
    """After the text."""
    tool: str | None = None
    arguments: str = "{}"
    reason: str = "stop"


class ScriptedModel:
    """Gives the answers in their order, and the last one for ever after."""

    provider, model = "openai", "gpt-6-luna"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer("All right.")]
        self.is_down = False
        self.asked: list[list[Message]] = []
        self.offered: list[list[str]] = []
        """Names of the tools that it might call."""
        self.open_streams = 0

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(tools=True)

    async def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(list(messages))
        self.offered.append([tool.name for tool in tools])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.open_streams += 1
        try:
            yield ModelAccepted("llm-1")
            await asyncio.sleep(answer.first_token)
            for token in answer.thinks.replace(" ", " \0").split("\0") if answer.thinks else ():
                yield TextDelta(token)
                await asyncio.sleep(answer.each_token)
            if answer.thinks:
                yield TextRetracted()
            for token in answer.text.replace(" ", " \0").split("\0") if answer.text else ():
                yield TextDelta(token)
                await asyncio.sleep(answer.each_token)
            if answer.hangs:
                await asyncio.sleep(NEVER)
            if answer.fails is not None:
                raise answer.fails
            if answer.tool is not None:
                yield ToolCall("tool-1", answer.tool, answer.arguments)
            usage = TokenUsage(100, 0, len(answer.text.split()), 0.001)
            yield ModelFinished(answer.reason, usage, "llm-1", self.provider, self.model)
        finally:
            self.open_streams -= 1

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        return TokenUsage(90, 0, len(messages[-1].content.split()), 0.0009)


# --- a tool -----------------------------------------------------------------------------------------------------------


@dataclass
class ScriptedTool:
    """A tool of the agent that takes its time, then answers or fails."""

    name: str = "find_times"
    method: Method = "GET"
    seconds: float = 1.0
    answer: ToolAnswer | ProviderError = field(default_factory=lambda: ToolAnswer(200, '{"times": ["10:00"]}'))
    waiting_phrase: str | None = "Let me look at the schedule."
    waiting_phrase_after_seconds: float = 0.4
    timeout_seconds: float = 8.0
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Call id and tool call id, and the arguments."""
    asked_at: list[float] = field(default_factory=list)
    cancelled: int = 0

    @property
    def described(self) -> AgentTool:
        parameters = {"type": "object", "properties": {"day": {"type": "string"}}}
        return AgentTool(
            ToolSpec(self.name, "Free times.", parameters),
            HttpEndpoint(self.name, self.method, "https://example.org/", timeout_seconds=self.timeout_seconds),
            {"en": self.waiting_phrase} if self.waiting_phrase else {},
            self.waiting_phrase_after_seconds,
        )

    async def call(
        self,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        tool_call_id: str,
        values: RequestValues = NO_VALUES,
    ) -> ToolAnswer:
        self.asked.append((f"{call_id}:{tool_call_id}", dict(arguments)))
        self.asked_at.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, ProviderError):
            raise self.answer
        return self.answer


# --- the voice --------------------------------------------------------------------------------------------------------


@dataclass
class Trouble:
    """How an utterance fails: after so many seconds of its sound, with that error."""

    after: float = 0.0
    error: Exception = field(default_factory=lambda: ProviderUnavailable("cartesia", "the line was cut"))
    stalls: bool = False
    """Makes no sound any more instead of failing."""


class ScriptedVoice:
    """Says each word at 0.06 s a letter, in bursts faster than real time; within 8 s no two samples are alike."""

    provider = "cartesia"

    def __init__(self, *, first_sound: float = 0.1, burst: float = 0.37, every: float = 0.05) -> None:
        self.first_sound, self.burst, self.every = first_sound, burst, every
        self.tells_words = True
        self.troubles: list[Trouble | None] = []
        """Of the next utterances."""
        self.down: Exception | None = None
        self.is_known_down = False
        self.knows_any_text = True
        self.utterances: list[ScriptedUtterance] = []
        self.followed: list[ProviderError | None] = []
        """Which failure each of them makes good."""
        self._samples_made = 0

    @property
    def capabilities(self) -> TtsCapabilities:
        return TtsCapabilities(
            word_times=self.tells_words, languages=None, encodings=ENCODINGS, any_text=self.knows_any_text
        )

    @property
    def variant(self) -> str:
        return ""

    @property
    def first_choice(self) -> "ScriptedVoice":
        return self

    def is_down_for(self, _voice: VoiceConfig) -> bool:
        return self.is_known_down

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> "ScriptedUtterance":
        self.followed.append(after)
        trouble = self.troubles.pop(0) if self.troubles else None
        if self.down is not None:
            trouble = Trouble(error=self.down)
        made = ScriptedUtterance(self, voice, trouble, call_id)
        self.utterances.append(made)
        return made

    def of_call(self, call_id: str) -> "list[ScriptedUtterance]":
        return [utterance for utterance in self.utterances if utterance.call_id == call_id]

    def sound(self, samples: int) -> bytes:
        """The next samples: they count, so that each can be told from all others."""
        numbers = np.arange(self._samples_made, self._samples_made + samples)
        self._samples_made += samples
        return (numbers % 65536).astype("<u2").tobytes()


class ScriptedUtterance:
    """Text in, sound and word times out."""

    def __init__(self, voice: ScriptedVoice, config: VoiceConfig, trouble: Trouble | None, call_id: str) -> None:
        self.config = config
        self.call_id = call_id
        self.said: list[str] = []
        self.said_at: list[float] = []
        self.audio = b""
        self.words: list[SpokenWord] = []
        self.characters_sent = 0
        self.is_open = True
        self._voice = voice
        self._format = AudioFormat(config.encoding, config.sample_rate)
        self._trouble = trouble
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()
        self._seconds = 0.0

    def charges(self) -> list[Charge]:
        characters = self.characters_sent
        charge = Charge(
            provider=self._voice.provider, model=self.config.model, cost=39e-6 * characters, characters=characters
        )
        return [charge] if characters else []

    async def say(self, text: str) -> None:
        self.said.append(text)
        self.said_at.append(asyncio.get_running_loop().time())
        self.characters_sent += len(text)
        self._texts.put_nowait(text)

    async def finish(self) -> None:
        self._texts.put_nowait(None)

    def cancel(self) -> None:
        self.is_open = False

    async def __aiter__(self) -> AsyncGenerator[VoiceEvent, None]:
        is_first = True
        while (text := await self._texts.get()) is not None:
            await asyncio.sleep(self._voice.first_sound if is_first else self._voice.every)
            is_first = False
            words = self._timed(text.split())
            if self._voice.tells_words:
                yield VoiceWords(words)
            missing = self._seconds - self._format.seconds(self.audio)
            while missing > 1e-9:
                piece = min(missing, self._voice.burst)
                await self._meet_trouble(piece)
                yield VoiceAudio(self._make(piece))
                missing -= piece
                await asyncio.sleep(self._voice.every)

    def _timed(self, texts: list[str]) -> tuple[SpokenWord, ...]:
        words = []
        for text in texts:
            end = self._seconds + 0.06 * max(1, sum(map(str.isalnum, text)))
            words.append(SpokenWord(text, self._seconds, end))
            self._seconds = end + 0.04
        self.words += words
        return tuple(words)

    def _make(self, seconds: float) -> bytes:
        audio = self._voice.sound(round(seconds * self._format.sample_rate))
        self.audio += audio
        return audio

    async def _meet_trouble(self, seconds: float) -> None:
        trouble = self._trouble
        if trouble is None or self._format.seconds(self.audio) + seconds <= trouble.after:
            return
        if trouble.stalls:
            await asyncio.sleep(NEVER)
        raise trouble.error
