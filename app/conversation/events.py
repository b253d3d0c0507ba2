"""Events of a call, in the past tense: what the core handles and what the journal keeps.

Each class is one row type. Its fields are the row's ``data``, except ``turn``, which has a column of its own. All
values are plain JSON. Times named ``..._t`` are in seconds since the call was created. Change a class only by adding
fields with defaults; otherwise raise ``v`` and teach :func:`from_row` to read the old shape.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, get_args

from app.conversation.knowledge_events import KnowledgeSearched
from app.conversation.opening_events import ConsentAnswered, LookupFinished
from app.conversation.provider_events import ProviderFailed as ProviderFailed
from app.conversation.provider_events import ProviderRestored as ProviderRestored
from app.conversation.provider_events import ProviderUsed as ProviderUsed
from app.conversation.spending import SpendingReached as SpendingReached
from app.conversation.takeover_events import CallTakenOver as CallTakenOver
from app.models import JournalRow

# --- the call ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallCreated:
    """Row 1: what the call was run with."""

    type: ClassVar[str] = "call.created"
    policy: dict[str, Any]
    language: str
    agent: dict[str, Any] = field(default_factory=dict)
    """Prompt, models, voices, code version."""
    telephony_usd_per_minute: float | None = None
    """The price of the line: 0 without a telephone, None when it is not known, as in old rows."""


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """Sound flows both ways from now on."""

    type: ClassVar[str] = "call.answered"
    since_t: float | None = None
    """When the leg reported it. The row is later, because the commit of the row before it takes time."""


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The terminal row."""

    type: ClassVar[str] = "call.ended"
    reason: str
    fault: str = "none"
    detail: str | None = None
    """More about the end of a call that never ran; for other calls ``caller.left`` has it."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The conversation entered another state; a decision of the core."""

    type: ClassVar[str] = "state.changed"
    before: str
    after: str


# --- the caller ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallerSoundStarted:
    """The detector hears sound from the caller."""

    type: ClassVar[str] = "caller.sound_started"
    since_t: float
    """When its first sample arrived."""


@dataclass(frozen=True, slots=True)
class CallerSoundStopped:
    """The detector no longer hears the caller."""

    type: ClassVar[str] = "caller.sound_stopped"
    last_voiced_t: float
    """When the last sample with sound arrived."""


@dataclass(frozen=True, slots=True)
class CallerWords:
    """Interim words of a turn; each replaces the one before."""

    type: ClassVar[str] = "caller.words"
    text: str
    faint: bool = False
    """Whether somebody behind the caller said it: much more quietly, while the agent spoke and the caller did not."""
    confidence: float | None = None
    heard_by: str = ""
    """The entry of the registry that has recognised the words, where there are several ways; else empty."""
    language: str | None = None
    """The code of their language, if speech to text has told it already; None in old rows."""


@dataclass(frozen=True, slots=True)
class CallerTurnEndedEagerly:
    """The turn has probably ended."""

    type: ClassVar[str] = "caller.turn_ended_eagerly"
    text: str
    language: str | None = None
    faint: bool = False
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class CallerTurnResumed:
    """The caller went on after an eager end."""

    type: ClassVar[str] = "caller.turn_resumed"
    text: str


@dataclass(frozen=True, slots=True)
class CallerTurnEnded:
    """The turn has ended with these words; the words may be empty."""

    type: ClassVar[str] = "caller.turn_ended"
    text: str
    confidence: float | None = None
    language: str | None = None
    last_voiced_t: float | None = None
    faint: bool = False
    heard_by: str = ""


@dataclass(frozen=True, slots=True)
class CallerDtmf:
    """A key was pressed: one of ``0-9*#A-D``."""

    type: ClassVar[str] = "caller.dtmf"
    digit: str


@dataclass(frozen=True, slots=True)
class CallerTyped:
    """The caller has typed a turn instead of saying it."""

    type: ClassVar[str] = "caller.typed"
    text: str
    """Not empty."""


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """The caller is gone."""

    type: ClassVar[str] = "caller.left"
    reason: str = "caller_hangup"
    """An end reason: ``caller_hangup``, ``media_lost``, ``media_timeout``. For a person we called who did not answer:
    ``busy``, ``declined``, ``no_answer``, ``invalid_number`` or ``carrier_error``."""
    detail: str | None = None
    """More about the reason, such as ``sip 486`` for an unanswered call, or ``bad_format`` for a websocket."""


@dataclass(frozen=True, slots=True)
class CallerHeld:
    """No audio comes from the caller, not even silence, though the line is up: they are on hold, or gone."""

    type: ClassVar[str] = "caller.held"
    since_t: float
    """When the last sound came."""


@dataclass(frozen=True, slots=True)
class CallerReturned:
    """Sound comes from the caller again."""

    type: ClassVar[str] = "caller.returned"
    held_seconds: float


@dataclass(frozen=True, slots=True)
class LegLost:
    """The leg has lost its room: the caller hears nothing of us, and we hear nothing of them."""

    type: ClassVar[str] = "leg.lost"
    since_t: float
    """When the connection was lost."""


@dataclass(frozen=True, slots=True)
class LegRejoined:
    """The leg is in the room again, and the caller is there."""

    type: ClassVar[str] = "leg.rejoined"
    away_seconds: float


@dataclass(frozen=True, slots=True)
class CallerIgnored:
    """What the caller said was not taken as a turn; a decision of the core."""

    type: ClassVar[str] = "caller.ignored"
    reason: str
    """``acknowledgement``, ``echo``, ``unintelligible``, ``not_interruptible``, ``faint`` (somebody behind the
    caller) or ``repeated`` (taken before)."""


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The caller's turn was accepted and gets an answer; a decision of the core."""

    type: ClassVar[str] = "turn.taken"
    turn: int
    text: str
    source: str
    """``speech``, ``keypad``, or ``timeout``: the transcript stopped changing, but no end of turn came."""
    started_t: float
    ended_t: float
    language: str | None = None
    confidence: float | None = None


# --- the agent; ``speech`` is the serial number of an utterance within the call -----------------------------------


@dataclass(frozen=True, slots=True)
class AgentReplyStarted:
    """The first frame of an utterance left for the caller."""

    type: ClassVar[str] = "agent.reply_started"
    turn: int
    speech: int
    kind: str
    stamps: dict[str, float] = field(default_factory=dict)
    """For a reply: ``last_voiced turn_ended first_token first_clause first_audio first_frame``, in call seconds."""
    language: str | None = None
    """Code of the language it is spoken in."""


@dataclass(frozen=True, slots=True)
class AgentReplyGenerated:
    """The whole text of an utterance is known; nothing will be added."""

    type: ClassVar[str] = "agent.reply_generated"
    turn: int
    speech: int
    text: str


@dataclass(frozen=True, slots=True)
class AgentClauseStarted:
    """The first frame of a clause left for the caller."""

    type: ClassVar[str] = "agent.clause_started"
    turn: int
    speech: int
    text: str
    start_sample: int
    """Position within the utterance, in samples at the leg's rate."""


@dataclass(frozen=True, slots=True)
class AgentPaused:
    """The voice was paused; the caller had heard this much."""

    type: ClassVar[str] = "agent.paused"
    turn: int
    speech: int
    heard: str


@dataclass(frozen=True, slots=True)
class AgentResumed:
    """The voice goes on where the caller stopped hearing it."""

    type: ClassVar[str] = "agent.resumed"
    turn: int
    speech: int


@dataclass(frozen=True, slots=True)
class AgentInterrupted:
    """An utterance was cut short."""

    type: ClassVar[str] = "agent.interrupted"
    turn: int
    speech: int
    heard: str
    generated: str
    exact: bool = True
    """Whether ``heard`` comes from word times and the played position, not from an estimate."""


@dataclass(frozen=True, slots=True)
class AgentFinished:
    """The caller heard an utterance to its last word; a filler may end at the word at which the answer was ready."""

    type: ClassVar[str] = "agent.finished"
    turn: int
    speech: int
    heard: str
    generated: str
    exact: bool = True


# --- tools, and the transfer to a human -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgentToolCalled:
    """The model asked for a tool."""

    type: ClassVar[str] = "agent.tool_called"
    turn: int
    speech: int
    id: str
    """Unique within the call."""
    name: str
    arguments: str
    timeout_seconds: float = 0.0
    """How long it may take while the answer waits for its result; 0 for the built-in tools."""
    line: str | None = None
    """What is said while it runs; None if the answer has just said something."""
    line_after_seconds: float = 0.0
    """For how long the tool may run before the line is said. Older rows have it said at once."""
    refused: bool = False
    """There is no such tool, or it does not take these arguments: it is not run."""


@dataclass(frozen=True, slots=True)
class AgentToolFinished:
    """A tool that was run has finished, whatever became of the utterance that called it."""

    type: ClassVar[str] = "agent.tool_finished"
    turn: int
    speech: int
    id: str
    name: str
    ok: bool
    status: int | None
    """The HTTP status of the answer; None without one."""
    seconds: float
    result: str
    """As the model sees it."""
    given_up: bool = False  # cancelled, because no answer waited for it any more


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The transfer has begun; a decision of the core."""

    type: ClassVar[str] = "transfer.started"
    to: str


@dataclass(frozen=True, slots=True)
class TransferDialled:
    """A human is being called into the caller's room. A caller who leaves from now on has hung up."""

    type: ClassVar[str] = "transfer.dialled"


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The transfer failed; the caller is with the agent as before."""

    type: ClassVar[str] = "transfer.failed"
    reason: str
    """``refused``, ``no_answer``, ``busy``, ``unavailable`` or ``not_a_telephone``."""


@dataclass(frozen=True, slots=True)
class TransferCompleted:
    """The caller is with the human."""

    type: ClassVar[str] = "transfer.completed"
    how: str
    """``refer``: the telephone network connected them; ``dialled``: the human was called into the room."""


# --- a message -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRequested:
    """The call cannot be served, so the agent asks the caller to leave a message; a decision of the core."""

    type: ClassVar[str] = "message.requested"


@dataclass(frozen=True, slots=True)
class MessageTranscribed:
    """A message that nothing heard while it was spoken was transcribed afterwards, as a recording."""

    type: ClassVar[str] = "message.transcribed"
    text: str
    confidence: float | None = None
    language: str | None = None


# --- the outside; a vendor's events are in :mod:`app.conversation.provider_events` -----------------------------------


@dataclass(frozen=True, slots=True)
class SayRequested:
    """An operator wants a text to be said after the current utterance."""

    type: ClassVar[str] = "operator.say_requested"
    text: str


@dataclass(frozen=True, slots=True)
class HangupRequested:
    """An operator, or the stopping service, wants the call to end."""

    type: ClassVar[str] = "operator.hangup_requested"
    reason: str = "operator_hangup"
    """``operator_hangup`` ends at once; ``shutdown`` says goodbye first, if there is time."""
    at_once: bool = False
    """Whether there is no time for a goodbye."""


@dataclass(frozen=True, slots=True)
class TransferRequested:
    """An operator wants the caller to be transferred after the current utterance."""

    type: ClassVar[str] = "operator.transfer_requested"
    to: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline of the core has come."""

    type: ClassVar[str] = "deadline.passed"
    name: str


Event = (
    CallCreated | CallAnswered | CallEnded | StateChanged | CallerSoundStarted | CallerSoundStopped | CallerWords
    | CallerHeld | CallerReturned | CallerTurnEndedEagerly | CallerTurnResumed | CallerTurnEnded | CallerDtmf
    | CallerTyped | CallerLeft | LegLost | LegRejoined | CallerIgnored | TurnTaken | AgentReplyStarted
    | AgentReplyGenerated | AgentClauseStarted | AgentPaused | AgentResumed | AgentInterrupted | AgentFinished
    | AgentToolCalled | AgentToolFinished
    | TransferStarted | TransferDialled | TransferFailed | TransferCompleted | MessageRequested | MessageTranscribed
    | ProviderFailed | ProviderRestored | ProviderUsed | SpendingReached | SayRequested | HangupRequested
    | TransferRequested | DeadlinePassed | ConsentAnswered | LookupFinished | KnowledgeSearched | CallTakenOver
)  # fmt: skip

EVENT_TYPES: dict[str, type[Event]] = {cls.type: cls for cls in get_args(Event)}
VERSION = 1


def row_data(event: Event) -> dict[str, Any]:
    """The ``data`` of the event's row."""
    data = asdict(event)
    data.pop("turn", None)
    return data


def from_row(row: JournalRow) -> Event | None:
    """The event of a row; None for a type that this version does not know. Unknown fields are left out."""
    cls = EVENT_TYPES.get(row.type)
    if cls is None:
        return None
    known = {item.name for item in fields(cls)}
    # JSON knows no tuples, and no event has a list.
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.data.items() if name in known
    }
    if "turn" in known:
        values["turn"] = row.turn
    return cls(**values)
