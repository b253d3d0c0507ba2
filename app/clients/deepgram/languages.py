"""Language codes as the vendors write them."""

FLUX_LANGUAGES = frozenset({"de", "en", "es", "fr", "hi", "it", "ja", "nl", "pt", "ru"})
"""Languages of Flux's multilingual model."""
DETECT = "multi"
"""Used instead of a code: the vendor detects the language."""
