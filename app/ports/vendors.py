"""The three kinds of vendors that a call needs, what each can do, and what it charges."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from app.errors import ProviderError
from app.models import Message, Patience, TokenUsage, TranscriptionResult, VoiceConfig
from app.ports.streams import ModelEvent, SpeechEvent, ToolSpec, VoiceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one vendor puts on the bill for a stream or an utterance."""

    provider: str
    model: str
    cost: float | None
    """US dollars; None when the price is unknown."""
    seconds: float = 0.0
    """Seconds of audio sent to be transcribed."""
    characters: int = 0
    """Characters of text sent to be spoken."""
    request_ids: tuple[str, ...] = ()
    """The vendor's ids of all requests that it is for, in their order."""
    way: str = ""
    """The entry of the registry that was asked, where there are several ways; else empty."""
    served: bool = True
    """Whether any of it was used: another way may have been faster."""


def add_up(charges: Iterable[Charge]) -> list[Charge]:
    """One charge for each vendor, model and way, in the order of their first."""
    sums: dict[tuple[str, str, str, bool], Charge] = {}
    for charge in charges:
        key = (charge.provider, charge.model, charge.way, charge.served)
        before = sums.get(key)
        sums[key] = charge if before is None else _sum(before, charge)
    return list(sums.values())


def _sum(one: Charge, other: Charge) -> Charge:
    return replace(
        one,
        cost=None if one.cost is None or other.cost is None else one.cost + other.cost,
        seconds=one.seconds + other.seconds,
        characters=one.characters + other.characters,
        request_ids=one.request_ids + other.request_ids,
    )


# --- what an agent asks for; ``vendor`` is the name of an entry of the registry, None leaves it to the model --------


@dataclass(frozen=True, slots=True)
class SttOptions:
    """How the caller's speech is transcribed."""

    model: str
    language: str = "multi"
    """The code of the language expected at first, or ``multi``: detected in each turn."""
    language_hints: tuple[str, ...] = ()
    """Codes of other languages that the caller may speak."""
    vendor: str | None = None
    likely_language: str = "en"
    """The code of a language to expect where ``language`` is ``multi`` and the vendor cannot detect it."""


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """Which model writes the answers."""

    model: str
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class TtsOptions:
    """Which model speaks. The agent chooses the voices."""

    model: str
    vendor: str | None = None


# --- what a vendor can do -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SttCapabilities:
    """What a speech-to-text model can do."""

    languages: frozenset[str] | None
    """Language codes; None when the vendor takes any."""
    encodings: frozenset[str]
    """As in :class:`media.formats.AudioFormat`."""
    chain: tuple[str, ...] = ()
    """The entries of the registry that may hear a call, in the order of choice; empty when there are no fallbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmCapabilities:
    """What a language model can do."""

    tools: bool
    chain: tuple[str, ...] = ()
    """The entries of the registry that may think, in the order of choice; empty when there are no fallbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsCapabilities:
    """What a text-to-speech model can do."""

    word_times: bool
    """Whether the vendor reports when each word is spoken. If not, what a caller has heard is estimated."""
    languages: frozenset[str] | None
    encodings: frozenset[str]
    any_text: bool = True
    """Whether it can say anything, not only prepared lines."""
    chain: tuple[str, ...] = ()
    """The entries of the registry that may speak, in the order of choice; empty when there are no fallbacks."""


# --- speech to text ---------------------------------------------------------------------------------------------


class SttStream(Protocol):
    """The caller's speech as a stream of events."""

    @property
    def provider(self) -> str:
        """The vendor that transcribes now."""

    @property
    def dropped_seconds(self) -> float:
        """Seconds of the caller's audio that were dropped and never transcribed."""

    def charges(self) -> list[Charge]:
        """The charges so far, by vendor and model, even if nothing was sent."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def send(self, audio: bytes) -> None:
        """Send audio in the leg's format; does not wait."""

    def note_sound(self, *, is_heard: bool) -> None:
        """Note that the caller has started or stopped making sound. A vendor that is silent meanwhile has stalled."""

    def set_patience(self, patience: Patience) -> None:
        """How long to wait for more in a pause, from now on; never waits.

        A vendor whose patience cannot be changed during a call goes on as before; the core then waits by itself.
        """

    def __aiter__(self) -> AsyncIterator[SpeechEvent]: ...


class SpeechToText(Protocol):
    """A speech-to-text vendor, with the model and audio format of a call."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def model(self) -> str:
        """The vendor's name of the model."""

    @property
    def capabilities(self) -> SttCapabilities:
        """What the model can do."""

    @property
    def is_down(self) -> bool:
        """Whether nothing would hear a new call, as far as is known now."""

    def listen(self, *, call_id: str, language: str | None = None) -> SttStream:
        """Open a stream for one call. ``language`` is the code of the one in which the caller probably speaks."""

    async def transcribe_batch(self, audio_data: bytes) -> TranscriptionResult:
        """Transcribe sound in the call's format as a whole. Raises ProviderError."""

    def recording_charge(self, seconds: float) -> Charge:
        """What it costs to transcribe that much sound as a whole."""


# --- language model ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A whole answer."""

    text: str
    usage: TokenUsage
    model: str
    """The vendor's name of the model that wrote it."""


class TextGenerator(Protocol):
    """A language model that answers after a call, when nobody waits."""

    async def generate(
        self, messages: list[Message], *, schema: Mapping[str, Any] | None = None, call_id: str | None = None
    ) -> GeneratedText:
        """One whole answer; with a schema, JSON that should fit it. Raises ProviderError, such as ContentRejected."""


class LanguageModel(Protocol):
    """A vendor of a language model."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def model(self) -> str:
        """The vendor's name of the model."""

    @property
    def is_down(self) -> bool:
        """Whether nothing would answer in a new call, as far as is known now."""

    @property
    def capabilities(self) -> LlmCapabilities:
        """What the model can do."""

    def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the answer as the model writes it. Raises ProviderError."""

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """Estimate the usage and cost of an answer that ended without :class:`app.ports.streams.ModelFinished`."""


# --- text to speech ---------------------------------------------------------------------------------------------


class TtsUtterance(Protocol):
    """A text that is being voiced."""

    def charges(self) -> list[Charge]:
        """The charges for the text sent so far, even if cancelled; empty if nothing was sent."""

    async def say(self, text: str) -> None:
        """Send the next clause."""

    async def finish(self) -> None:
        """Say that no more text follows."""

    def cancel(self) -> None:
        """Cancel the rest."""

    def __aiter__(self) -> AsyncIterator[VoiceEvent]: ...


class TextToSpeech(Protocol):
    """A text-to-speech vendor. Each utterance names its voice and model."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def capabilities(self) -> TtsCapabilities:
        """What the model can do."""

    @property
    def variant(self) -> str:
        """What else the sound of a text depends on, such as a pronunciation dictionary; empty if nothing."""

    @property
    def first_choice(self) -> "TextToSpeech":
        """The voice without its fallbacks: only its sound is kept as prepared phrases."""

    def is_down_for(self, voice: VoiceConfig) -> bool:
        """Whether nobody could say an answer in the language of that voice, as far as is known now."""

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> TtsUtterance:
        """Open an utterance. ``after`` is the failure of the utterance that this one replaces."""
