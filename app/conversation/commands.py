"""What the core asks for, in the imperative; the orchestrator carries each out in order."""

from dataclasses import dataclass

from app.conversation.events import CallerIgnored, StateChanged, TransferStarted, TurnTaken


@dataclass(frozen=True, slots=True)
class StartReply:
    """Write and voice an answer from the history as it stands; hold the sound back while ``preemptive``."""

    turn: int
    utterance: int
    language: str
    text: str
    """The caller's words, which a preemptive reply cannot find in the history yet."""
    preemptive: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """The turn has ended as expected: let the held reply be heard."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Say:
    """Say a fixed text."""

    turn: int
    utterance: int
    kind: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class PauseUtterance:
    """Be silent at once, and remember where."""

    utterance: int


@dataclass(frozen=True, slots=True)
class ResumeUtterance:
    """Go on where the caller stopped hearing."""

    utterance: int


@dataclass(frozen=True, slots=True)
class StopUtterance:
    """Be silent at once, drop the rest, and tell what was heard if it had begun."""

    utterance: int


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run the tool that the model has called: it is certain that the caller has finished."""

    turn: int
    utterance: int
    id: str


@dataclass(frozen=True, slots=True)
class RaiseThreshold:
    """The detector takes noise for the caller: make it less sensitive."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand the caller over, and tell the outcome."""

    to: str
    """A name, or an address, on the list of those who take callers over; or anything else."""


@dataclass(frozen=True, slots=True)
class CancelTransfer:
    """Call off the transfer that is under way."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys on the telephone line."""

    digits: str
    """Of ``0-9*#A-D``, and ``w`` for half a second."""


@dataclass(frozen=True, slots=True)
class Record:
    """Write a decision of the core into the journal; it is not told back."""

    event: StateChanged | CallerIgnored | TurnTaken | TransferStarted


@dataclass(frozen=True, slots=True)
class EndCall:
    """Write the terminal row, then hang up. Always the last command of a call."""

    reason: str
    fault: str


Command = (
    StartReply
    | ReleaseReply
    | Say
    | PauseUtterance
    | ResumeUtterance
    | StopUtterance
    | RunTool
    | RaiseThreshold
    | Transfer
    | CancelTransfer
    | SendDigits
    | Record
    | EndCall
)
