"""Which agent answers which number."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from app.calls.agent.telephone_numbers import common_home, same_beginning, same_spelling

_WRITTEN = re.compile(r"\+?[\d() -]{2,40}\*?", re.ASCII)
_REST = "*"
_KEPT = 16_384


def number_problem(written: str) -> str | None:
    """What is wrong with a number of an agent's file."""
    if written == _REST or (_WRITTEN.fullmatch(written) and any(map(str.isdigit, written))):
        return None
    return "is no telephone number: digits, with + before them, or with * after them for all that begin so"


class NumberTable:
    """Called numbers, each with the agent that answers it. However a number is written, it is the same number.

    A whole number wins over a pattern (``+7495*``), and a longer pattern over a shorter one.
    """

    def __init__(self, numbers: Mapping[str, Sequence[str]], home: str | None = None) -> None:
        """``numbers`` by the names of their agents. Those without a country's code are in the country of ``home``.

        That is one of our own numbers, such as ``+74950000000``; without it the numbers with ``+`` say which country.
        """
        self.home = common_home(home, [number for of_agent in numbers.values() for number in of_agent])
        """A number, or the beginning of some, of that country; None if it is not known."""
        self._owners: dict[str, str] = {}
        for agent, of_agent in numbers.items():
            self._owners |= {_key(number, self.home): agent for number in of_agent}

    def find(self, called: str | None) -> str | None:
        """The agent that answers this number, if there is one."""
        digits = (called or "").replace(_REST, "")
        spellings = dict.fromkeys((_key(digits, self.home), _plain(digits)))
        patterns = {each[:length] + _REST for each in spellings for length in range(len(each) + 1)}
        keys = (*spellings, *sorted(patterns, key=len, reverse=True))
        return next((self._owners[key] for key in keys if key in self._owners), None)


def clashes(claims: Mapping[str, Sequence[str]], home: str | None = None) -> Iterator[tuple[str, int, str, int]]:
    """Numbers of two agents: whose and which of their numbers it is, and the same of the agent before it.

    ``claims`` and ``home`` are as those of a :class:`NumberTable`.
    """
    home = common_home(home, [number for of_agent in claims.values() for number in of_agent])
    owners: dict[str, tuple[str, int]] = {}
    for agent, numbers in claims.items():
        for index, number in enumerate(numbers):
            owner, place = owners.setdefault(_key(number, home), (agent, index))
            if owner != agent:
                yield agent, index, owner, place


@lru_cache(_KEPT)
def _key(number: str, home: str | None) -> str:
    """The number's digits in E.164, and the ``*`` at the end of a pattern: ``8 (495) 123*`` in Russia is ``7495123*``.

    A number that is too short for E.164, such as 112, is its own digits.
    """
    if number.endswith(_REST):
        return same_beginning(number, home) + _REST
    return _plain(same_spelling(number, home) or number)


def _plain(number: str) -> str:
    return "".join(filter(str.isdecimal, number))
