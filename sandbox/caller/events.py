"""The events that a simulated caller emits during a call; times are seconds since ``ready``."""

from dataclasses import dataclass
from typing import Any

from sandbox.caller.report import Cleared


@dataclass(frozen=True, slots=True)
class Connected:
    """The caller has opened a session; the call is about to begin."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The call has begun: time 0."""

    monotonic: float
    """The event loop's clock, in seconds."""


@dataclass(frozen=True, slots=True)
class CallerSpeaks:
    """The caller's sound begins."""

    at: float
    text: str
    """Empty for a cough."""


@dataclass(frozen=True, slots=True)
class CallerDone:
    """The caller's sound has ended."""

    at: float


@dataclass(frozen=True, slots=True)
class CallerPresses:
    """The caller pressed a key."""

    at: float
    digit: str


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """The caller hears the agent speak."""

    at: float
    """The time of the first loud sample."""


@dataclass(frozen=True, slots=True)
class AgentStopped:
    """The agent has been silent for a while; emitted with that delay."""

    at: float
    """The time of the last loud sample."""


@dataclass(frozen=True, slots=True)
class Journaled:
    """A row of the call's journal arrived."""

    at: float
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over."""

    at: float
    by: str
    """``agent`` or ``caller``."""
    reason: str | None


CallerEvent = (
    Connected
    | Ready
    | CallerSpeaks
    | CallerDone
    | CallerPresses
    | AgentStarted
    | AgentStopped
    | Cleared
    | Journaled
    | Ended
)
