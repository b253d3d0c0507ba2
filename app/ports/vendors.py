"""The three kinds of vendors that a call is held with, what each of them can do, and what it charges."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from app.errors import ProviderError
from app.models import Message, Patience, TokenUsage, VoiceConfig
from app.ports.streams import ModelEvent, SpeechEvent, ToolSpec, VoiceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one vendor puts on the bill for a stream or an utterance."""

    provider: str
    model: str
    cost: float | None
    """US dollars; None when the price is unknown."""
    seconds: float = 0.0
    """Of audio that was sent to be heard."""
    characters: int = 0
    """Of text that was sent to be spoken."""
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
    """How the caller is to be heard."""

    model: str
    language: str = "multi"
    """The code of the language expected at first, or ``multi``: detected in each turn."""
    language_hints: tuple[str, ...] = ()
    """Codes of languages that are likely, besides ``language``."""
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """Which model writes the answers."""

    model: str
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class TtsOptions:
    """Which model speaks; the voices are the agent's."""

    model: str
    vendor: str | None = None


# --- what a vendor can do -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SttCapabilities:
    """What a model that hears can be given."""

    languages: frozenset[str] | None
    """Codes; None when the vendor takes any."""
    encodings: frozenset[str]
    """As in :class:`media.formats.AudioFormat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmCapabilities:
    """What a model that thinks can be given."""

    tools: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsCapabilities:
    """What a model that speaks can be given, and what it gives."""

    word_times: bool
    """Whether it says when each word is spoken; without, it is estimated what a caller has heard."""
    languages: frozenset[str] | None
    encodings: frozenset[str]
    ways: int = 1
    """How many ways of speaking there are: one that failed leaves the others."""


# --- speech to text ---------------------------------------------------------------------------------------------


class SttStream(Protocol):
    """The caller's words as they are heard."""

    @property
    def provider(self) -> str:
        """The vendor that hears now."""

    @property
    def dropped_seconds(self) -> float:
        """How much of the caller was given up and never heard."""

    def charges(self) -> list[Charge]:
        """What was heard so far, by vendor and model; also when it was nothing."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...
    def send(self, audio: bytes) -> None:
        """Audio in the leg's format; never waits."""

    def note_sound(self, *, is_heard: bool) -> None:
        """The caller began, or ceased, to make a sound: a vendor without an event during it has stalled."""

    def set_patience(self, patience: Patience) -> None:
        """How long to wait for more in a pause, from now on; never waits.

        A vendor whose patience cannot be changed during a call goes on as before. The core waits by itself then.
        """

    def __aiter__(self) -> AsyncIterator[SpeechEvent]: ...


class SpeechToText(Protocol):
    """A vendor that hears, with the model and the audio format of a call."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def model(self) -> str:
        """The vendor's name of the model."""

    @property
    def capabilities(self) -> SttCapabilities:
        """What the model can do."""

    def listen(self, *, call_id: str) -> SttStream:
        """A stream for one call."""


# --- language model ---------------------------------------------------------------------------------------------


class LanguageModel(Protocol):
    """A vendor that thinks, with one model."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def model(self) -> str:
        """The vendor's name of the model."""

    @property
    def capabilities(self) -> LlmCapabilities:
        """What the model can do."""

    def stream_reply(
        self, messages: list[Message], *, tools: Sequence[ToolSpec] = (), call_id: str | None = None
    ) -> AsyncGenerator[ModelEvent, None]:
        """The answer as it is written; raises ProviderError."""

    def calculate_token_usage(self, messages: list[Message]) -> TokenUsage:
        """An estimate, with its cost, for answers that end without :class:`app.ports.streams.ModelFinished`."""


# --- text to speech ---------------------------------------------------------------------------------------------


class TtsUtterance(Protocol):
    """A text on its way to becoming sound."""

    def charges(self) -> list[Charge]:
        """What was sent so far, cancelled or not; empty while nothing was."""

    async def say(self, text: str) -> None:
        """The next clause."""

    async def finish(self) -> None:
        """No more text."""

    def cancel(self) -> None:
        """The rest is not wanted."""

    def __aiter__(self) -> AsyncIterator[VoiceEvent]: ...


class TextToSpeech(Protocol):
    """A vendor that speaks; the voice, with its model, is given with each utterance."""

    @property
    def provider(self) -> str:
        """The vendor's name, as rows, metrics and health show it."""

    @property
    def capabilities(self) -> TtsCapabilities:
        """What the model can do."""

    @property
    def variant(self) -> str:
        """What the sound of a text depends on besides the voice, such as a pronunciation dictionary; or empty."""

    @property
    def first_choice(self) -> "TextToSpeech":
        """Who speaks when nothing is wrong, without those who stand in: only that voice is kept as prepared phrases."""

    def utterance(self, voice: VoiceConfig, *, call_id: str, after: ProviderError | None = None) -> TtsUtterance:
        """An utterance for one turn of one call; ``after`` is the failure of one that this one makes good."""
