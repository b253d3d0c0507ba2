"""Plain values that several floors share; they depend on nothing but the standard library."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal


class ConversationState(StrEnum):
    """Who has the floor. ``ENDED`` is terminal."""

    LISTENING = "listening"
    PROCESSING = "processing"
    SPEAKING = "speaking"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CallContext:
    """What is known of a call when it arrives."""

    call_id: str
    caller_number: str | None
    """As the carrier gave it; untrusted, and personal data."""
    start_time: datetime
    """When the call was created, UTC."""
    livekit_room: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """``called_number``, ``direction``, ``trunk``, ``sip_headers``, ``language_hint`` and what the client gave."""


@dataclass(frozen=True, slots=True)
class TelephoneCall:
    """A caller's participant in a LiveKit room. What the carrier told is untrusted, and personal data."""

    room: str
    """Name of the room."""
    room_sid: str
    identity: str
    """Of the participant."""
    attributes: dict[str, str]
    """The participant's: ``sip.callID``, ``sip.phoneNumber``, ``sip.trunkPhoneNumber``, ``sip.callStatus`` ..."""

    @property
    def sip_call_id(self) -> str:
        """LiveKit's name of the call; with ``room_sid`` it is the call's identity. Empty when nobody told it."""
        return self.attributes.get("sip.callID", "")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the dialogue, in the terms of a language model."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    content: str
    timestamp: datetime | None = None
    metadata: dict[str, Any] | None = None
    """``tool_calls`` (list of id, name, arguments) of an assistant, ``tool_call_id`` of a tool's answer."""


@dataclass(frozen=True, slots=True)
class TranscriptionResult:
    """What a recording says."""

    text: str
    confidence: float
    """0 to 1, the mean of the words' weighted by their length."""
    language: str | None
    duration: float
    """Seconds of audio."""
    alternatives: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one or several model requests; ``cost`` in US dollars, None when the price is unknown."""

    prompt: int = 0
    cached: int = 0
    """The part of ``prompt`` that was read from the vendor's cache."""
    completion: int = 0
    cost: float | None = None

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        cost = None if self.cost is None and other.cost is None else (self.cost or 0.0) + (other.cost or 0.0)
        return TokenUsage(
            self.prompt + other.prompt, self.cached + other.cached, self.completion + other.completion, cost
        )


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """How a text is to sound, and in which audio format."""

    voice_id: str
    model: str
    language: str
    speed: float = 1.0
    """0.6 to 1.5."""
    emotion: str | None = None
    encoding: Literal["pcm_s16le", "mulaw"] = "pcm_s16le"
    sample_rate: int = 24000
    """Hertz."""


@dataclass(slots=True)
class ConversationMetrics:
    """Means over the answered turns of a call, in seconds; None when there is nothing to average."""

    total_duration: float = 0.0
    processing_latency: float | None = None
    stt_latency: float | None = None
    llm_latency: float | None = None
    tts_latency: float | None = None
    token_usage: TokenUsage = field(default_factory=TokenUsage)
    api_costs: dict[str, float | None] = field(default_factory=dict)
    """US dollars by ``stt``, ``llm``, ``tts``, ``telephony``."""


@dataclass(slots=True)
class ConversationContext:
    """A call with its history, for whoever writes the next answer."""

    call_context: CallContext
    history: list[Message] = field(default_factory=list)
    current_state: ConversationState = ConversationState.LISTENING
    metrics: ConversationMetrics = field(default_factory=ConversationMetrics)


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A call in a few facts."""

    call_id: str
    turns: int
    duration: float
    topics_text: str
    """What the caller said, in the order said; personal data."""
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One component as it was last seen."""

    name: str
    status: Literal["ok", "degraded", "failed"]
    latency: float | None = None
    """Median seconds of the recent requests."""
    last_success: datetime | None = None
    breaker: Literal["closed", "half_open", "open"] | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """A whole and its components; the whole is as bad as the worst that matters."""

    status: Literal["ok", "degraded", "failed"]
    components: tuple[ServiceHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientMetrics:
    """What a client has done since the process started; latencies in seconds over the last 512 requests."""

    requests: int = 0
    failures: int = 0
    retries: int = 0
    breaker_opens: int = 0
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_p99: float | None = None


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One fact of a call's journal."""

    seq: int
    """1, 2, 3 ... without gaps within a call."""
    at: str
    """Wall time, ISO 8601 UTC with milliseconds and Z."""
    t: float
    """Seconds since the call was created; never falls."""
    type: str
    """``noun.verb`` in the past tense, such as ``caller.turn_ended``."""
    turn: int | None
    """The number of the turn it belongs to."""
    v: int
    """Version of the shape of ``data``."""
    data: dict[str, Any]
    """JSON object."""
