"""Masks telephone numbers and names for the terminal."""

_SHOWN = 2


def masked(text: str) -> str:
    """The first and last characters, enough to recognise it: ``+7…00``."""
    return f"{text[:_SHOWN]}…{text[-_SHOWN:]}" if len(text) > 2 * _SHOWN else "…"
