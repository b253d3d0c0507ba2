"""Which agent answers which number."""

import re
from collections.abc import Iterator, Mapping, Sequence

_WRITTEN = re.compile(r"\+?[\d() -]{2,40}\*?", re.ASCII)
_REST = "*"


def number_problem(written: str) -> str | None:
    """What is wrong with a number of an agent's file."""
    if written == _REST or (_WRITTEN.fullmatch(written) and any(map(str.isdigit, written))):
        return None
    return "is no telephone number: digits, with + before them, or with * after them for all that begin so"


class NumberTable:
    """Called numbers, each with the agent that answers it.

    A whole number wins over a pattern (``+7495*``), and a longer pattern over a shorter one.
    """

    def __init__(self, numbers: Mapping[str, Sequence[str]]) -> None:
        """``numbers`` by the names of their agents."""
        self._owners: dict[str, str] = {}
        for agent, of_agent in numbers.items():
            self.add(agent, of_agent)

    def add(self, agent: str, numbers: Sequence[str]) -> None:
        """Have that agent answer those numbers, too."""
        self._owners |= {_plain(number): agent for number in numbers}

    def clashes(self, numbers: Sequence[str]) -> Iterator[str]:
        """The numbers that an agent of the table already has, each with that agent's name."""
        for number in numbers:
            if owner := self._owners.get(_plain(number)):
                yield f"{number} is a number of the agent {owner}, too"

    def find(self, called: str | None) -> str | None:
        """The agent that answers this number, if there is one."""
        digits = _plain(called or "").replace(_REST, "")
        patterns = (digits[:length] + _REST for length in range(len(digits), -1, -1))
        return next((self._owners[key] for key in (digits, *patterns) if key in self._owners), None)


def _plain(number: str) -> str:
    """The number's digits, and the ``*`` at the end of a pattern: ``+7 (495) 123*`` becomes ``7495123*``."""
    return "".join(letter for letter in number if letter.isdecimal() or letter == _REST)
