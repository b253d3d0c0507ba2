"""An entry of the registry: a way to hear, to think or to speak that a vendor offers, and how its client is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import SecretStr

from app.clients.prices import DEFAULT_PRICES, Prices
from app.clients.resilient import NoObserver, ProviderObserver, RetryPolicy
from app.models import ServiceHealth, VoiceConfig
from app.ports.vendors import LanguageModel, LlmOptions, SpeechToText, SttOptions, TextToSpeech, TtsOptions
from app.settings import Settings
from media.formats import AudioFormat


class Session(Protocol):
    """What the registry needs of a client besides its port, as ``BaseResilientClient`` has it."""

    @property
    def provider(self) -> str:
        """The vendor's name."""

    @property
    def is_remote(self) -> bool:
        """Whether it is somebody else's service, which can be down."""

    async def health_check(self) -> ServiceHealth:
        """How the vendor was seen last; costs no request."""

    async def warm_up(self) -> None:
        """Have a connection open before a caller needs it. Raises ProviderError."""

    async def aclose(self) -> None:
        """Close all connections."""


class SttSession(SpeechToText, Session, Protocol):
    """A client that hears in one audio format."""


class LlmSession(LanguageModel, Session, Protocol):
    """A client of one model that thinks."""


class TtsSession(TextToSpeech, Session, Protocol):
    """A client that speaks."""


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """What every client is made with: keys, addresses and patience of the process."""

    settings: Settings
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    observer: ProviderObserver = field(default_factory=NoObserver)
    prices: Prices = DEFAULT_PRICES


@dataclass(frozen=True, slots=True)
class SttEntry:
    """A vendor's way to hear."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether it is meant by a model's name alone."""
    make: Callable[[ClientSetup, SttOptions, AudioFormat], SttSession]


@dataclass(frozen=True, slots=True)
class LlmEntry:
    """A vendor's way to think."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether it is meant by a model's name alone."""
    make: Callable[[ClientSetup, LlmOptions], LlmSession]


def _same_voice(voice: VoiceConfig) -> VoiceConfig | None:
    return voice


def _always(_settings: Settings) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class TtsEntry:
    """A vendor's way to speak."""

    name: str
    serves: Callable[[str, Settings], bool]
    """Whether it is meant by a model's name alone."""
    make: Callable[[ClientSetup, TtsOptions], TtsSession]
    stand_in_voice: Callable[[VoiceConfig], VoiceConfig | None] = _same_voice
    """Its own voice that comes nearest to one of the first choice; None when it does not speak the language."""
    is_available: Callable[[Settings], bool] = _always
    """Whether it can be used here as a stand-in."""


Entry = SttEntry | LlmEntry | TtsEntry


def key_of(secret: SecretStr | None) -> str:
    """The key; the sandbox, which is there when none is set, takes any."""
    return secret.get_secret_value() if secret is not None else "sandbox"
