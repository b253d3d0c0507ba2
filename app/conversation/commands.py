"""Commands: what the core asks for. The event loop of the call carries them out in order."""

from dataclasses import dataclass

from app.conversation.events import CallerIgnored, MessageRequested, StateChanged, TransferStarted, TurnTaken
from app.conversation.opening_events import ConsentAnswered
from app.models import Patience


@dataclass(frozen=True, slots=True)
class StartReply:
    """Write and voice an answer to the history as it is. Hold back the sound while ``preemptive``."""

    turn: int
    utterance: int
    language: str
    text: str
    """The caller's words, empty without any. The history does not hold them yet while the reply is preemptive."""
    preemptive: bool = False
    tool: str | None = None
    """A tool of the agent to run first; the answer is about its result."""
    arguments: str = "{}"
    """The tool's arguments, a JSON object."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """The turn has ended as expected: play the reply that was held back."""

    utterance: int


@dataclass(frozen=True, slots=True)
class HoldReply:
    """Hold back a reply that has not begun: an operator's line comes first. :class:`ReleaseReply` follows."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Say:
    """Say a fixed text."""

    turn: int
    utterance: int
    kind: str
    language: str
    text: str
    is_rest: bool = False
    """Whether it is the rest of something, so that its sound is of no use to another call."""


@dataclass(frozen=True, slots=True)
class SayMeanwhile:
    """Say a fixed text within a reply that has begun and waits for a tool."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class PauseUtterance:
    """Stop the sound at once, and remember where."""

    utterance: int


@dataclass(frozen=True, slots=True)
class ResumeUtterance:
    """Go on where the caller stopped hearing."""

    utterance: int


@dataclass(frozen=True, slots=True)
class StopUtterance:
    """Stop the sound at once and drop the rest. If it had begun, emit what was heard of it."""

    utterance: int


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run the tool that the model has called; the caller's turn is certainly over."""

    turn: int
    utterance: int
    id: str


@dataclass(frozen=True, slots=True)
class SetPatience:
    """Change how long speech to text waits in a pause before it ends the caller's turn."""

    patience: Patience


@dataclass(frozen=True, slots=True)
class RaiseThreshold:
    """Make the voice activity detector less sensitive: it takes noise for the caller."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Transfer the caller to a human, and emit the outcome."""

    to: str
    """A name or an address on the list of transfer targets. The model may also write anything else."""


@dataclass(frozen=True, slots=True)
class CancelTransfer:
    """Cancel the transfer that is running."""


@dataclass(frozen=True, slots=True)
class AwaitTransfer:
    """A human is being called into the room, by a process that has died: emit the outcome."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys on the telephone line."""

    digits: str
    """One or more of ``0-9*#A-D``; ``w`` waits half a second."""


@dataclass(frozen=True, slots=True)
class KeepMessage:
    """Keep the caller's sound from now on: they are asked for a message."""


@dataclass(frozen=True, slots=True)
class TranscribeMessage:
    """The message is over, and nothing heard all of it: have its sound transcribed, and emit the words."""


@dataclass(frozen=True, slots=True)
class StartRecording:
    """Record the call from now on: the caller has agreed."""


@dataclass(frozen=True, slots=True)
class Record:
    """Write a decision of the core into the journal. It does not come back as an event."""

    event: StateChanged | CallerIgnored | TurnTaken | TransferStarted | MessageRequested | ConsentAnswered


@dataclass(frozen=True, slots=True)
class EndCall:
    """Write the terminal row, then hang up. This is always the last command of a call."""

    reason: str
    fault: str


Command = (
    StartReply
    | ReleaseReply
    | HoldReply
    | Say
    | SayMeanwhile
    | PauseUtterance
    | ResumeUtterance
    | StopUtterance
    | RunTool
    | SetPatience
    | RaiseThreshold
    | Transfer
    | CancelTransfer
    | AwaitTransfer
    | SendDigits
    | KeepMessage
    | TranscribeMessage
    | StartRecording
    | Record
    | EndCall
)
