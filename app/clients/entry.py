"""Entries of the registry. Each is one STT, LLM or TTS service of a vendor, and how to make its client."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import SecretStr

from app.clients.limiter import Limiters
from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import NoObserver, ProviderObserver, RetryPolicy
from app.models import ServiceHealth, VoiceConfig
from app.observability.listeners import Listeners
from app.ports.vendors import (
    LanguageModel,
    LlmOptions,
    SpeechToText,
    SttOptions,
    SttStream,
    TextGenerator,
    TextToSpeech,
    TtsOptions,
)
from app.settings import Settings
from media.formats import AudioFormat


class Session(Protocol):
    """What the registry needs from a client besides its port; ``BaseResilientClient`` provides it."""

    @property
    def provider(self) -> str:
        """The vendor's name."""

    @property
    def is_remote(self) -> bool:
        """Whether it is a remote service, which can be down."""

    @property
    def is_down(self) -> bool:
        """Whether it has failed too often just now, and has not answered since."""

    async def health_check(self) -> ServiceHealth:
        """The vendor's health as seen by the last requests; makes no request."""

    async def warm_up(self) -> None:
        """Open a connection before a caller needs it. Raises ProviderError."""

    async def aclose(self) -> None:
        """Close all connections."""


class LinkStream(SttStream, Protocol):
    """A call's stream from one vendor, which may be one of several ways to hear the call."""

    @property
    def on_working(self) -> Listeners[[]]:
        """Called when a connection works."""

    @property
    def owed_seconds(self) -> float:
        """How long the vendor has owed a connection, or a message on it; 0 while none is due."""


class SttSession(SpeechToText, Session, Protocol):
    """A speech-to-text client for one audio format."""

    def listen(self, *, call_id: str, language: str | None = None) -> LinkStream:
        """Open a stream for one call. ``language`` is the code of the one in which the caller probably speaks."""


class LlmSession(LanguageModel, TextGenerator, Session, Protocol):
    """A client of one language model."""

    async def loaded(self) -> None:
        """Return when its library is loaded, or cannot be. That takes long only in the first second of a process."""


class TtsSession(TextToSpeech, Session, Protocol):
    """A text-to-speech client."""


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """What every client is made from: the process's settings, retries, metrics, prices, and vendors' limits."""

    settings: Settings
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    observer: ProviderObserver = field(default_factory=NoObserver)
    prices: Prices = DEFAULT_PRICES
    limiters: Limiters = field(default_factory=Limiters)


@dataclass(frozen=True, slots=True)
class SttEntry:
    """A speech-to-text service of a vendor."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether the model's name alone selects this entry."""
    make: Callable[[ClientSetup, SttOptions, AudioFormat], SttSession]
    fallback_options: Callable[[SttOptions], SttOptions | None] = lambda _options: None
    """Its own options that come nearest to those of the first choice; None when it cannot hear the language."""
    late_seconds: float = 1.5
    """How long the vendor may owe a message while the caller speaks, before another one is asked, too."""


@dataclass(frozen=True, slots=True)
class LlmEntry:
    """A language model service of a vendor."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether the model's name alone selects this entry."""
    make: Callable[[ClientSetup, LlmOptions], LlmSession]


def _same_voice(voice: VoiceConfig) -> VoiceConfig | None:
    return voice


def _always(_settings: Settings) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class TtsEntry:
    """A text-to-speech service of a vendor."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether the model's name alone selects this entry."""
    make: Callable[[ClientSetup, TtsOptions], TtsSession]
    fallback_voice: Callable[[VoiceConfig], VoiceConfig | None] = _same_voice
    """Its own voice that comes nearest to one of the first choice; None when it does not speak the language."""
    is_available: Callable[[Settings], bool] = _always
    """Whether it can be used here as a fallback."""


Entry = SttEntry | LlmEntry | TtsEntry


def key_of(secret: SecretStr | None) -> str:
    """The key. Without one the service uses the sandbox, which accepts any."""
    return secret.get_secret_value() if secret is not None else "sandbox"
