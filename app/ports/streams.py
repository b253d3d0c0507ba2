"""What the vendors' streams yield, as types of the service. Nothing above the clients sees a vendor's type."""

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
    """The caller's turn so far. Each transcript replaces the one before it."""

    text: str
    words: tuple[HeardWord, ...] = ()
    confidence: float | None = None
    """0 to 1: the mean of the words' confidences, weighted by their length. None when there are no words."""
    language: str | None = None
    """Code of the detected language, such as ``ru``."""
    way: str = ""
    """The entry of the registry that has recognised it, where there are several ways; else empty."""


@dataclass(frozen=True, slots=True)
class TurnUpdated:
    """The caller is speaking: interim words."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnEndedEagerly:
    """The turn has probably ended; :class:`TurnResumed` or :class:`TurnEnded` follows."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller has gone on speaking after an eager end."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn has ended; the transcript is final, and may be empty."""

    transcript: Transcript


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The connection is lost. The client reconnects by itself; ``final`` says that it has given up."""

    error: ProviderError
    final: bool


@dataclass(frozen=True, slots=True)
class StreamRestored:
    """A new connection works: it has been sent the unacknowledged audio, and has answered or stayed open."""

    gap_seconds: float
    """How long there was no connection."""


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
    """A piece of the answer. Concatenate the pieces as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class TextRetracted:
    """The text so far was a thought of the model, not part of the answer; only its end has shown it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool. The event comes when the arguments are complete."""

    id: str
    name: str
    arguments: str
    """The JSON object as the model wrote it, not validated."""


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The last event of an answer."""

    reason: str
    """``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
    usage: TokenUsage
    """As the vendor reported it, else an estimate. It holds the cost if the price is known."""
    request_id: str | None
    provider: str
    """The vendor that has answered."""
    model: str


@dataclass(frozen=True, slots=True)
class ModelBegun:
    """Which of several models answers, before the first of its events."""

    provider: str
    model: str
    way: str
    """The entry of the registry that was asked."""


@dataclass(frozen=True, slots=True)
class ModelAccepted:
    """The vendor has accepted the request. It comes before the first token, so an interrupted answer has an id, too."""

    request_id: str
    """The vendor's id of the request."""


@dataclass(frozen=True, slots=True)
class ModelFailed:
    """A model that was to answer has failed, or is late, and another was asked: the answer is not lost."""

    error: ProviderError
    is_late: bool = False
    """Whether it has not failed: it may still be the first to answer."""


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """What a request cost that was not answered to its end: another was faster, or went on in its place."""

    provider: str
    model: str
    usage: TokenUsage
    """Estimated."""
    way: str
    """The entry of the registry that was asked."""
    served: bool
    """Whether any of its answer was used."""


ModelEvent = TextDelta | TextRetracted | ToolCall | ModelFinished | ModelBegun | ModelAccepted | ModelFailed | ModelUsed


def text_after(text: str, event: ModelEvent) -> str:
    """The text of an answer after the event."""
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
    """The next piece of sound, in the requested encoding. It has any length, but never half a sample."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """When a word of the text is spoken."""

    text: str
    start: float
    end: float
    is_exact: bool = True
    """Whether the vendor gave the time. Otherwise it is estimated from the words beside it."""


@dataclass(frozen=True, slots=True)
class VoiceWords:
    """The times of the next words, in the order of the text."""

    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class VoiceFailed:
    """A voice has failed or is late, and another was asked: the text is not lost."""

    error: ProviderError


VoiceEvent = VoiceAudio | VoiceWords | VoiceFailed
