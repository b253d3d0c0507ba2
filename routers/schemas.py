"""The bodies of requests and responses as pydantic models."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints

_METADATA_BYTES = 16 * 1024
_METADATA_DEPTH = 8

TelephoneNumber = Annotated[str, Field(pattern=r"^\+[0-9]{5,15}$")]
"""E.164."""

EndReason = Literal[
    "caller_hangup", "agent_hangup", "silence", "max_duration", "transferred", "operator_hangup", "media_lost",
    "media_timeout", "message_taken", "rejected_capacity", "rejected_policy", "no_answer", "busy", "declined",
    "invalid_number", "carrier_error", "provider_failure", "spending_limit", "shutdown", "crashed", "internal_error",
]  # fmt: skip
"""Why a call ended."""

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601 in UTC."""


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for metadata that is too large or deep, or is not JSON: NaN, half a surrogate pair."""
    if len(json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()) > _METADATA_BYTES:
        raise ValueError(f"metadata is larger than {_METADATA_BYTES} bytes")
    if _depth(metadata) > _METADATA_DEPTH:
        raise ValueError(f"metadata is nested deeper than {_METADATA_DEPTH}")
    return metadata


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= _METADATA_DEPTH:
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            break
        depth += 1
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return depth


Metadata = Annotated[dict[str, Any], AfterValidator(_check_metadata)]
"""Any JSON object of a reasonable size."""


class Problem(BaseModel):
    """An error (RFC 9457). ``code`` is stable and for programs, ``detail`` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class SessionKey(BaseModel):
    """The key for the dashboard."""

    api_key: SecretStr


class SessionRequest(BaseModel):
    """Who will call, as far as the client wants to say."""

    caller: Annotated[str | None, Field(max_length=64)] = None
    metadata: Metadata = Field(default_factory=dict)
    agent: str | None = None
    """The name of the agent that answers; the default agent when left out."""
    variables: Metadata = Field(default_factory=dict)
    """Values for the agent's variables."""
    synthetic: bool = False
    """Whether nobody real calls: the call is in no figures, no metrics of callers, and no list unless it is asked for,
    and nobody is sent a webhook about it."""
    events: Literal["conversation", "all"] = "conversation"
    """Which events a websocket gets if it asks for them. ``conversation``: what caller and agent say, and who has the
    floor. ``all``: the whole journal, with prompt and tools; share the address of such a session with nobody."""


class PlacedCall(BaseModel):
    """The number to call, and what the agent should know about the call."""

    to: TelephoneNumber
    number: Annotated[TelephoneNumber | None, Field(alias="from")] = None
    metadata: Metadata = Field(default_factory=dict)
    agent: str | None = None
    """The name of the agent that calls; the default agent when left out."""
    variables: Metadata = Field(default_factory=dict)
    """Values for the agent's variables."""


class AgentSummary(BaseModel):
    """An agent. ``version`` is the hash of its file, and changes with it."""

    name: str
    version: str
    numbers: list[str]
    languages: list[str]


class AgentList(BaseModel):
    """All agents. ``problems`` are those of files that were refused; their agents are as before."""

    agents: list[AgentSummary]
    default: str
    problems: list[str]
    transfer_targets: list[str] = Field(description="The names of TRANSFER_TARGETS, for transfers by an operator.")
    places_calls: bool = Field(description="Whether `POST /calls` can call telephones.")


class AgentVariable(BaseModel):
    """A value that a request for a call can set."""

    name: str
    default: str | int | float | bool | None
    description: str
    required: bool


class AgentOutcomeField(BaseModel):
    """A value that is worked out from each call after its end."""

    name: str
    json_schema: dict[str, Any] = Field(description="JSON schema of the value.", alias="schema")
    confirm: bool = Field(description="Whether the agent reads it back to the caller.")


class Agent(AgentSummary):
    """One agent."""

    language: str
    timezone: str
    models: dict[str, str]
    voices: dict[str, str]
    tools: list[str]
    mcp_servers: list[str] = Field(description="The MCP servers whose tools the agent has besides.")
    mcp_tools: list[str] = Field(description="The tools that they list now, by the names that the model knows.")
    knowledge: list[str] = Field(description="The files that the agent answers from.")
    recording: bool
    sip_headers: list[str]
    disclosure: dict[str, str] = Field(description="By language, what is said first; empty if the agent says nothing.")
    consent: Literal["ask"] | None = Field(description="`ask`: the call is recorded once the caller has agreed.")
    variables: list[AgentVariable]
    outcome: list[AgentOutcomeField]
    prompt: str


class SessionAnswer(BaseModel):
    """Where to open the websocket, once and within a minute. ``twiml`` makes Twilio do it."""

    call_id: str
    url: str
    twiml: str
    expires_at: Moment
    sandbox: str | None = Field(
        description="Where the stand-ins take the words that they cannot recognise; null with real vendors."
    )


class KnowledgeSource(BaseModel):
    """Where a passage stands that the model got for an answer; `line` counts from 1."""

    file: str
    heading: str
    line: int


class TurnLatency(BaseModel):
    """How long an answer took, in seconds: consecutive stages from the caller's last sound to the answer's first."""

    end_of_turn: float
    llm_first_token: float
    first_clause: float
    tts_first_audio: float
    playout: float
    total: float
    budget_kept: bool = Field(description="Whether it began within `MAX_RESPONSE_LATENCY`.")
    filler_at: float | None = Field(description="When a filler before it began, since the call was answered.")
    bridged: bool = Field(description="Whether it waited for a tool, and a line bridged the wait.")


class StageLatency(BaseModel):
    """How long a stage of a call's answers took, in seconds."""

    p50: float
    p95: float
    max: float
    count: int


class TokenUsage(BaseModel):
    """What the language model used in a call: tokens, and US dollars."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    cost: float | None = Field(default=None, description="Null if the price is not known.")


class Costs(BaseModel):
    """What a call cost. Null if a price is not known, and in a list while the call lives."""

    stt: float | None
    llm: float | None
    tts: float | None
    telephony: float | None
    total: float | None
    currency: Literal["USD"]


class ProviderIds(BaseModel):
    """Ids by which others know the call: those of LiveKit, and of each request to a vendor."""

    sip_call_id: str | None
    room_sid: str | None
    requests: list[str]


class Turn(BaseModel):
    """One utterance. Times are seconds since the call was answered."""

    number: int
    role: str
    text: str
    text_generated: str | None
    started_at: float
    ended_at: float | None
    interrupted: bool
    heard: str
    stt_confidence: float | None
    language: str | None
    latency: TurnLatency | None
    kind: str | None = Field(
        description="Of the agent: `reply`, `disclosure`, `consent`, `greeting`, `prompt`, `apology`, `transfer`, "
        "`goodbye`, or `say`, an operator's line. Of the caller: `speech`, `keypad`, or `timeout`."
    )
    waited_seconds: float | None = Field(
        description="How long the caller waited, if this turn of theirs was never answered; otherwise null."
    )
    served: dict[str, list[str]]
    knowledge: list[KnowledgeSource]


class Filler(BaseModel):
    """What bridged a wait. Times are seconds since the call was answered."""

    number: int
    text: str
    started_at: float
    ended_at: float | None


class Failure(BaseModel):
    """A vendor or a tool failed; `at` is seconds since the call was answered."""

    number: int | None
    at: float
    provider: str
    stage: str
    code: str
    reason: str | None
    request_id: str | None
    final: bool
    answer: str


class Unanswered(BaseModel):
    """The caller's turns that were never answered, and how long the caller waited at each, in seconds."""

    count: int
    waited_seconds: list[float]


class Tool(BaseModel):
    """A call of one of the agent's own tools. ``called_at`` is seconds since the call was answered."""

    id: str
    name: str
    number: int
    called_at: float
    outcome: str
    status: int | None
    seconds: float | None


class RecordingState(BaseModel):
    """How complete the recording of a call is, and which parts are missing."""

    status: Literal["complete", "gaps", "failed", "erased", "none"]
    gaps: list[Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        description="Pairs of from and to, in seconds since `answered_at`."
    )


class CallMessage(BaseModel):
    """A message that the caller left because the call could not be served."""

    text: str = Field(description="Empty when nothing could transcribe it; the recording may have it.")
    heard: Literal["live", "recording", "none"] = Field(
        description="`recording`: transcribed after it was spoken. `none`: not transcribed."
    )


class OutcomeField(BaseModel):
    """A value that the agent's `outcome` asks for, with the words that it comes from."""

    value: Any
    quote: str | None = Field(description="The words, which were said in that `turn`.")
    turn: int | None
    verified_by: Literal["caller", "keypad", "tool"] | None = Field(
        description="Who verified the value: the caller, after the agent had read it back; the caller's keys; "
        "or a tool that took it."
    )


class Analysis(BaseModel):
    """What came of a call. `cost` is in US dollars; the costs of the call do not include it."""

    status: Literal["pending", "done", "failed"]
    summary: str | None
    fields: dict[str, OutcomeField] | None
    success: bool | None
    reason: str | None = Field(description="Of a failed analysis, what went wrong; else why the call was a success.")
    model: str | None
    cost: float | None


class CallSummary(BaseModel):
    """A call without its turns. Times are ISO 8601 in UTC. Costs are in US dollars, null if a price is unknown."""

    call_id: str
    direction: str
    status: str
    caller_number: str | None
    called_number: str | None
    livekit_room: str | None
    started_at: Moment
    answered_at: Moment | None
    ended_at: Moment | None
    duration_seconds: float | None
    end_reason: str | None
    end_detail: str | None
    fault: str
    language: str | None
    latency: dict[str, StageLatency] = Field(description="By stage, and in `total`; empty without an answer.")
    token_usage: TokenUsage
    costs: Costs
    metadata: dict[str, Any]
    synthetic: bool = Field(description="Nobody real called: the service itself did, or a simulated caller.")
    agent: str | None
    variables: dict[str, Any]
    provider_ids: ProviderIds
    recording_available: bool
    recording: RecordingState
    unanswered: Unanswered | None = Field(description="Null while the call lives, in a list.")
    late_answers: int | None = Field(
        description="Answers that came later than `MAX_RESPONSE_LATENCY` allows; null while the call lives, in a list."
    )
    disclosure_heard_at: Moment | None = Field(description="When the caller had heard the disclosure to its end.")
    consent: Literal["given", "refused", "unanswered"] | None = Field(
        description="Whether the caller agreed to be recorded; null if they were not asked. `refused` also when they "
        "gave no clear answer; `unanswered` when the call ended before."
    )
    abandoned: Literal["ringing", "early", "waiting"] | None = Field(
        description="When the caller gave the call up: before it was answered, in its first ten seconds, "
        "or while they waited."
    )
    message: CallMessage | None = Field(description="Null when the caller left none; in a list, while the call lives.")
    seal: str | None = Field(
        description="A hash over the whole journal. Null while the call lives, and in calls of versions without seals."
    )
    words_erased_at: Moment | None = Field(description="When retention erased the words of the call.")
    recording_erased_at: Moment | None = Field(description="When retention erased the recording.")
    analysis: Analysis | None = Field(description="Null if nothing was said in the call, and while it lives.")
    trace_id: str = Field(description="The id of its trace, where OTEL_EXPORTER_OTLP_ENDPOINT has traces sent.")
    version: str


class Hold(BaseModel):
    """A time without audio from the caller, in seconds since the answer. ``ended_at`` is null if none came again."""

    started_at: float
    ended_at: float | None


class Call(CallSummary):
    """The whole record. ``agent_hash`` is the ``version`` of the agent that answered."""

    agent_hash: str | None
    response_budget_seconds: float | None = Field(description="What an answer may take, from the caller's last sound.")
    holds: list[Hold]
    turns: list[Turn]
    fillers: list[Filler]
    tools: list[Tool]
    failures: list[Failure]


class DoNotCallEntry(BaseModel):
    """A number that is never called, in E.164. ``added_by`` is ``operator``, or ``caller`` for one who asked for it."""

    number: str
    added_at: Moment
    added_by: str


class DoNotCallPage(BaseModel):
    """Numbers that are never called, in their order."""

    numbers: list[DoNotCallEntry]
    next_cursor: str | None


class CallPage(BaseModel):
    """Calls, newest first."""

    calls: list[CallSummary]
    next_cursor: str | None


class Transcript(BaseModel):
    """Who said what, which fillers and tools came in between, and what failed."""

    turns: list[Turn]
    fillers: list[Filler]
    tools: list[Tool]
    failures: list[Failure]


class WebhookDelivery(BaseModel):
    """A webhook on its way to one endpoint, whose `url` is null if the endpoint is no longer set up."""

    delivery_id: int
    webhook_id: str
    call_id: str
    event: str
    url: str | None = Field(description="The address without the values of its query, which may be secrets.")
    agent: str | None = Field(description="The agent whose file names the endpoint; null for `WEBHOOK_URL`.")
    status: Literal["pending", "delivered", "dead"]
    attempts: int
    happened_at: Moment
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    answer: int | None = Field(description="The HTTP status of the last answer.")
    error: str | None = Field(description="What was wrong with the last attempt.")


class DeliveryPage(BaseModel):
    """Webhooks, newest first."""

    deliveries: list[WebhookDelivery]
    next_cursor: int | None


class SayRequest(BaseModel):
    """What the agent says after its current utterance."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class TransferRequest(BaseModel):
    """The target of the transfer: a name or an address of TRANSFER_TARGETS."""

    to: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class EventRow(BaseModel):
    """A row of the journal."""

    seq: int
    at: Moment
    t: float
    type: str
    turn: int | None
    v: int
    data: dict[str, Any]


class EventList(BaseModel):
    """The journal so far."""

    events: list[EventRow]
