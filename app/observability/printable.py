"""Makes text of callers, carriers and vendors safe to print: no control characters reach the terminal."""

import re

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters and those that change the direction of text, except new lines and tabs."""


def printable(text: str) -> str:
    """The text on one line and without invisible characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def escaped(text: str) -> str:
    """The text with control characters written as escapes; new lines and tabs stay."""
    return CONTROLS.sub(lambda found: _written(ord(found.group())), text)


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
