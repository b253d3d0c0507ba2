"""Language codes as the vendors write them."""

from collections.abc import Iterable

FLUX_LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
"""Languages of Flux's multilingual model."""
DETECT = "multi"
"""Used instead of a code: the vendor detects the language."""


def base_language(code: str) -> str:
    """The language without a region: ``ru`` for ``ru-RU``."""
    return code.replace("_", "-").split("-")[0].lower()


def main_language(spoken: Iterable[tuple[str | None, float]]) -> str | None:
    """The language with the most seconds among ``(code, seconds)``; the first on a tie; None without any code."""
    totals: dict[str, float] = {}
    for code, seconds in spoken:
        if code:
            totals[code] = totals.get(code, 0.0) + seconds
    return max(totals, key=totals.__getitem__) if totals else None
