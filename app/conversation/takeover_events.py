"""The event of a take-over: another process carries the call now."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class CallTakenOver:
    """The process that carried the call is gone. Its heir has rebuilt the core, and has the caller on its leg."""

    type: ClassVar[str] = "call.taken_over"
    since_t: float
    """When the process before was last known to live; the caller heard nothing of us after that."""
    gap_seconds: float
    """From then until the heir had the caller."""
    owner: str = ""
    """The name of the process that carries the call now."""
