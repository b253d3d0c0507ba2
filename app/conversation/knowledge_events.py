"""What the agent looked up in its operator's files for an answer.

An event like those of :mod:`app.conversation.events`, which follows the same rules.
"""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class KnowledgeSearched:
    """The agent's files were searched for an answer. The model got these passages with the prompt."""

    type: ClassVar[str] = "knowledge.searched"
    turn: int
    speech: int
    seconds: float
    passages: tuple[dict[str, Any], ...] = ()
    """Each has ``file``, ``heading``, ``line`` (from 1) and ``text``, best first; empty if nothing fits."""
    problem: str | None = None
    """Why there are none although the search did not end: ``late`` or ``failed``."""
