"""Events of how a call opens: what was looked up while it rang, and whether the caller agrees to be recorded.

They are events like those of :mod:`app.conversation.events`, and follow the same rules.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ConsentAnswered:
    """The question whether the call may be recorded is settled; a decision of the core."""

    type: ClassVar[str] = "consent.answered"
    agreed: bool
    """Whether the call is recorded from now on."""
    how: str
    """``speech`` or ``keypad``; without a clear answer ``unclear`` or ``silence``, and the caller has not agreed."""
    turn: int | None = None
    """The caller's turn; None for a silence."""


@dataclass(frozen=True, slots=True)
class LookupFinished:
    """What the agent's lookup brought while the telephone rang. Without an answer the call has its defaults."""

    type: ClassVar[str] = "lookup.finished"
    ok: bool
    """Whether it answered in time, and all of its answer could be used."""
    seconds: float
    found: tuple[str, ...] = ()
    """Names of the variables in the answer."""
    rejected: bool = False
    """Whether the call is not taken."""
    problems: tuple[str, ...] = ()
    """Why there was no answer, or what of it could not be used."""
