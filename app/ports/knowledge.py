"""What an agent knows from its operator's files, as calls search it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a file that makes sense on its own."""

    file: str
    """The name of the file, as the agent's file has it."""
    heading: str
    """The headings above the passage, outermost first, such as ``Prices › First visit``; empty if there are none."""
    line: int
    """The line of the file on which the passage begins, from 1."""
    text: str


class KnowledgeSearch(Protocol):
    """Finds passages by the words of a question."""

    async def search(self, words: str, *, limit: int) -> Sequence[Passage]:
        """The passages that fit these words, best first, ``limit`` at most. Never blocks the event loop."""
