"""What was said, as both remember it: the caller's turns, and of the agent only what the caller heard."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was said by one side in one turn."""

    turn: int
    role: str
    """``user``, ``assistant``, or ``system`` for what the agent did besides."""
    text: str


class ConversationHistory:
    """Remarks in the order of their turns, the caller's before the agent's, whatever the order of the facts."""

    def __init__(self) -> None:
        self._remarks: list[Remark] = []

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._remarks)

    def __len__(self) -> int:
        return len(self._remarks)

    def add(self, turn: int, role: str, text: str) -> None:
        """Remember a remark; an empty one leaves no trace."""
        if not text:
            return
        remark = Remark(turn, role, text)
        place = len(self._remarks)
        while place and _order(self._remarks[place - 1]) > _order(remark):
            place -= 1
        self._remarks.insert(place, remark)


def _order(remark: Remark) -> tuple[int, bool]:
    return remark.turn, remark.role != "user"
