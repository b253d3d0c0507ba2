"""Language codes, as the vendors write them."""

from collections.abc import Iterable

FLUX_LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
"""Those of Flux's multilingual model."""
DETECT = "multi"
"""Stands where a code could stand, and leaves the choice to the vendor."""


def base_language(code: str) -> str:
    """``ru`` of ``ru-RU``."""
    return code.replace("_", "-").split("-")[0].lower()


def main_language(spoken: Iterable[tuple[str | None, float]]) -> str | None:
    """Of ``(code, seconds)`` the language with the most seconds; the first of equals; None when no code is known."""
    totals: dict[str, float] = {}
    for code, seconds in spoken:
        if code:
            totals[code] = totals.get(code, 0.0) + seconds
    return max(totals, key=totals.__getitem__) if totals else None
