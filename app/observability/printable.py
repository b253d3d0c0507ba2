"""Text of callers, carriers and vendors where a person reads it: none of it gives a terminal orders."""

import re

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, and what turns the direction of a line; new lines and tabs are not among it."""


def printable(text: str) -> str:
    """On one line, and without letters that cannot be seen."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def escaped(text: str) -> str:
    """With what a terminal would obey written out; lines and tabs stay."""
    return CONTROLS.sub(lambda found: _written(ord(found.group())), text)


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
