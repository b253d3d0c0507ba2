"""Plain values that several layers share. They depend on the standard library alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, get_args

Direction = Literal["inbound", "outbound", "web"]
"""The direction of a call: by telephone to us, by telephone from us, or through a websocket."""


class ConversationState(StrEnum):
    """Who has the floor. ``ENDED`` is terminal."""

    LISTENING = "listening"
    PROCESSING = "processing"
    SPEAKING = "speaking"
    ENDED = "ended"


class Patience(StrEnum):
    """How long a pause must be before speech to text takes it for the end of the caller's turn."""

    QUICK = "quick"
    """A word such as "yes" is expected, and is the whole answer."""
    NORMAL = "normal"
    PATIENT = "patient"
    """The caller is likely to pause in the middle: they dictate, spell, or look for a word."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What is known about a call when it arrives."""

    call_id: str
    caller_number: str | None
    """As the carrier sent it. Untrusted, and personal data."""
    start_time: datetime
    """When the call was created, UTC."""
    livekit_room: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """``called_number``, ``direction``, ``trunk``, ``sip_headers``, ``language_hint``, and the client's own keys."""
    agent: str | None = None
    """The agent that the request for the call names."""
    variables: dict[str, Any] = field(default_factory=dict)
    """The values that the request sets for the agent's variables."""
    lookup: dict[str, Any] = field(default_factory=dict)
    """The values that the agent's lookup returned. Untrusted."""
    is_synthetic: bool = False
    """Whether the service calls itself, to check whether callers are answered."""


@dataclass(frozen=True, slots=True)
class TelephoneCall:
    """A caller's participant in a LiveKit room. What the carrier sent is untrusted, and personal data."""

    room: str
    """Name of the room."""
    room_sid: str
    identity: str
    """The participant's identity in the room."""
    attributes: dict[str, str]
    """The participant's attributes: ``sip.callID``, ``sip.phoneNumber``, ``sip.callStatus`` ..."""

    @property
    def sip_call_id(self) -> str:
        """LiveKit's id of the SIP call. With ``room_sid`` it identifies the call. Empty when LiveKit sent none."""
        return self.attributes.get("sip.callID", "")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the dialogue, as a language model sees it."""

    role: str
    """``system``, ``user``, ``assistant`` or ``tool``."""
    content: str
    timestamp: datetime | None = None
    metadata: dict[str, Any] | None = None
    """``tool_calls`` (a list of id, name, arguments) of an assistant; ``tool_call_id`` of a tool's result."""


@dataclass(frozen=True, slots=True)
class TranscriptionResult:
    """The transcript of a recording."""

    text: str
    confidence: float
    """0 to 1: the mean of the words' confidences, weighted by their length."""
    language: str | None
    duration: float
    """Seconds of audio."""
    alternatives: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one or more model requests. ``cost`` is in US dollars, None when the price is unknown."""

    prompt: int = 0
    cached: int = 0
    """How many of ``prompt`` came from the vendor's cache."""
    completion: int = 0
    cost: float | None = None

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        cost = None if self.cost is None and other.cost is None else (self.cost or 0.0) + (other.cost or 0.0)
        return TokenUsage(
            self.prompt + other.prompt, self.cached + other.cached, self.completion + other.completion, cost
        )


def base_language(code: str) -> str:
    """The language without a region: ``ru`` for ``ru-RU``."""
    return code.replace("_", "-").split("-")[0].lower()


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """The voice of an utterance and its audio format."""

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
    """Means over the answered turns of a call, in seconds. None when no turn was answered."""

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
    """A call with its history, as the language model needs it for the next answer."""

    call_context: CallContext
    history: list[Message] = field(default_factory=list)
    current_state: ConversationState = ConversationState.LISTENING
    metrics: ConversationMetrics = field(default_factory=ConversationMetrics)


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A call in brief."""

    call_id: str
    turns: int
    duration: float
    topics_text: str
    """What the caller said, in order. Personal data."""
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The health of one component when it was last checked."""

    name: str
    status: Literal["ok", "degraded", "failed"]
    latency: float | None = None
    """Median of the recent requests, in seconds."""
    last_success: datetime | None = None
    breaker: Literal["closed", "half_open", "open"] | None = None
    detail: str | None = None


def worst_health(checks: Sequence[ServiceHealth], default: ServiceHealth | None = None) -> ServiceHealth:
    """The worst of several; of equals the first that has had a success, since the others were not used yet.

    Raises ValueError when there is none, and no ``default``.
    """
    if not checks and default is not None:
        return default
    worst = ("ok", "degraded", "failed").index
    return max(checks, key=lambda check: (worst(check.status), check.last_success is not None))


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """The health of the service and its components. ``status`` is that of the worst component that matters."""

    status: Literal["ok", "degraded", "failed"]
    components: tuple[ServiceHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientMetrics:
    """A client's counts since the process started, and latencies in seconds over the last 512 requests."""

    requests: int = 0
    failures: int = 0
    retries: int = 0
    breaker_opens: int = 0
    latency_p50: float | None = None
    latency_p95: float | None = None
    latency_p99: float | None = None


CallEvent = Literal["call.started", "call.answered", "call.ended", "call.analyzed"]
"""What the service reports of a call to endpoints outside."""
CALL_EVENTS: tuple[CallEvent, ...] = get_args(CallEvent)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days after its end the parts of a call are kept: 0 for ever, None as long as usual."""

    recording_days: int | None = None
    transcript_days: int | None = None
    """The words: of the journal, the record, the analysis and the search."""
    call_days: int | None = None
    """The whole call."""

    def __bool__(self) -> bool:
        """Whether anything is ever erased."""
        return any((self.recording_days, self.transcript_days, self.call_days))

    def own(self) -> dict[str, int] | None:
        """What is set, by name; None if nothing is."""
        return {name: days for name, days in asdict(self).items() if days is not None} or None

    def with_own(self, own: Any) -> "Retention":
        """The same where ``own``, as :meth:`own` returned it, says nothing else."""
        known = own if isinstance(own, dict) else {}
        days = {name: value for name, value in known.items() if name in _DAYS and isinstance(value, int)}
        return replace(self, **days)


AS_USUAL = Retention()
_DAYS = frozenset(item.name for item in fields(Retention))

RedactCategory = Literal["cards", "phones", "emails"]
"""What is taken out of a call before it is stored."""

ANSWERING = ("reply", "goodbye", "transfer", "prompt")
"""The kinds of utterances that answer the turn whose number they have."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row of a call's journal: an event, or a decision of the core."""

    seq: int
    """1, 2, 3 ... without gaps within a call."""
    at: str
    """Wall time, ISO 8601 UTC with milliseconds and Z."""
    t: float
    """Seconds since the call was created. Never decreases."""
    type: str
    """``noun.verb`` in the past tense, such as ``caller.turn_ended``."""
    turn: int | None
    """The number of the turn it belongs to."""
    v: int
    """Version of the schema of ``data``."""
    data: dict[str, Any]
    """JSON object."""
