"""Facts of what the agent does besides talking; see :mod:`app.conversation.events`, which all of them are a part of."""

from dataclasses import dataclass
from typing import ClassVar

# --- tools ----------------------------------------------------------------------------------------------------------


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
    """How long it may take, where the answer waits for its result; 0 for the built-in tools."""
    line: str | None = None
    """What is said while it runs; None where the answer itself has said something."""
    refused: bool = False
    """There is no such tool, or it does not take the arguments: nothing is done."""


@dataclass(frozen=True, slots=True)
class AgentToolFinished:
    """A tool that was run has come to its end, whatever became of the utterance that wanted it."""

    type: ClassVar[str] = "agent.tool_finished"
    turn: int
    speech: int
    id: str
    name: str
    ok: bool
    """Whether it did what was asked."""
    status: int | None
    """Of the HTTP answer; None without one."""
    seconds: float
    result: str
    """As the model is shown it."""


# --- the transfer to a human ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The caller is being handed over; a decision of the core."""

    type: ClassVar[str] = "transfer.started"
    to: str


@dataclass(frozen=True, slots=True)
class TransferDialled:
    """A human is being called into the caller's room: nobody takes the caller along, and who leaves has hung up."""

    type: ClassVar[str] = "transfer.dialled"


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The caller could not be handed over, and is with the agent as before."""

    type: ClassVar[str] = "transfer.failed"
    reason: str
    """``refused``, ``no_answer``, ``busy``, ``unavailable`` or ``not_a_telephone``."""


@dataclass(frozen=True, slots=True)
class TransferCompleted:
    """The caller is with the human."""

    type: ClassVar[str] = "transfer.completed"
    how: str
    """``refer``: the telephone network took him along; ``dialled``: the human was called into the room."""
