"""What was taken out of a call so far: who says a part of it again gives it away, too."""

import re

from app.redaction.marks import CARD, EMAIL, Span

_LEAST = 5
"""So many digits of a known number are taken out wherever they stand."""
_LEAST_OF_CARD = 4
"""Of a card one fewer, unless they are the last ones, by which people name their cards."""
_WORD = re.compile(r"[\w.+-]*\w")


class Memory:
    """Numbers and addresses that were found in one call. They are in the memory of its process only."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        """Marks by digits."""
        self._names: set[str] = set()

    def __repr__(self) -> str:
        return f"<Memory {len(self._numbers)} numbers, {len(self._names)} names>"

    def __bool__(self) -> bool:
        """Whether anything was found yet."""
        return bool(self._numbers or self._names)

    def learn(self, numbers: list[tuple[str, str]], names: list[str]) -> None:
        """Keep digits with their marks, and local parts of addresses."""
        self._numbers.update((digits, mark) for digits, mark in numbers if len(digits) > _LEAST)
        self._names.update(names)

    def mark_of(self, digits: str) -> str | None:
        """The mark of digits that are in a known number, or around one; None for all others."""
        if len(digits) < _LEAST_OF_CARD:
            return None
        for number, mark in self._numbers.items():
            if number in digits or (digits in number and _gives_away(digits, number, mark)):
                return mark
        return None

    def names_in(self, text: str) -> list[Span]:
        """Where local parts of known addresses stand."""
        if not self._names:
            return []
        return [Span(*found.span(), EMAIL) for found in _WORD.finditer(text) if found[0].lower() in self._names]


def _gives_away(digits: str, number: str, mark: str) -> bool:
    if len(digits) >= _LEAST:
        return True
    return mark == CARD and len(digits) == _LEAST_OF_CARD and not number.endswith(digits)
