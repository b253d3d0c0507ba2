"""Language codes as the vendors write them."""

FLUX_LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
"""Languages of Flux's multilingual model."""
DETECT = "multi"
"""Used instead of a code: the vendor detects the language."""


def base_language(code: str) -> str:
    """The language without a region: ``ru`` for ``ru-RU``."""
    return code.replace("_", "-").split("-")[0].lower()
