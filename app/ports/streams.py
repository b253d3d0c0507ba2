"""What the vendors' streams yield, in the service's own words. No vendor's type goes higher than this floor."""

from dataclasses import dataclass
from typing import Any

from app.errors import ProviderError
from app.models import TokenUsage

# --- speech to text; times are seconds since the first sample of the stream -------------------------------------


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of the caller."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """A caller's turn as far as it is known; each replaces the one before."""

    text: str
    words: tuple[HeardWord, ...] = ()
    confidence: float | None = None
    """0 to 1, the mean of the words' weighted by their length; None without words."""
    language: str | None = None
    """Code of the language that was detected, such as ``ru``."""


@dataclass(frozen=True, slots=True)
class TurnUpdated:
    """The caller is speaking; interim words."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnEndedEagerly:
    """The turn has probably ended; :class:`TurnResumed` or :class:`TurnEnded` follows."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on after an eager end."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn has ended; the transcript is final, and may be empty."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The socket is gone; the client tries again by itself. ``final`` when it has given up."""

    error: ProviderError
    final: bool


@dataclass(frozen=True, slots=True)
class StreamRestored:
    """A socket is back, has been sent the unacknowledged audio again, and hears, or at least stays open."""

    gap_seconds: float
    """How long there was no socket."""


SpeechEvent = TurnUpdated | TurnEndedEagerly | TurnResumed | TurnEnded | StreamLost | StreamRestored

# --- language model ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may call."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON schema of the arguments, an object."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer; pieces are concatenated as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class TextRetracted:
    """The text so far was not meant for ears: only its end has told that it was thought."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool to be run; sent once the arguments are complete."""

    id: str
    name: str
    arguments: str
    """A JSON object, as the model wrote it; not validated."""


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The last event of an answer."""

    reason: str
    """``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
    usage: TokenUsage
    """Reported by the vendor, or estimated when it was not; with its cost, if the price is known."""
    request_id: str | None
    provider: str
    """Who has answered."""
    model: str


ModelEvent = TextDelta | TextRetracted | ToolCall | ModelFinished


def text_after(text: str, event: ModelEvent) -> str:
    """The text of an answer once the event is in it."""
    match event:
        case TextDelta(more):
            return text + more
        case TextRetracted():
            return ""
        case _:
            return text


# --- text to speech; times are seconds since the first sample of the utterance -----------------------------------


@dataclass(frozen=True, slots=True)
class VoiceAudio:
    """The next piece of sound, in the encoding that was asked for; of any length, never half a sample."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """When a word of the text is spoken."""

    text: str
    start: float
    end: float
    is_exact: bool = True
    """Whether the vendor told the time; otherwise it is that of the words beside it."""


@dataclass(frozen=True, slots=True)
class VoiceWords:
    """Timestamps of the next words, in the order of the text."""

    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class VoiceFailed:
    """Somebody who was to speak has failed, or is late, and another was asked: the text is not lost."""

    error: ProviderError


VoiceEvent = VoiceAudio | VoiceWords | VoiceFailed
