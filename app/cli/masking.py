"""What a terminal may show of a number or an address that is somebody's own."""

_SHOWN = 2


def masked(text: str) -> str:
    """Its first and last characters, enough to know it again: ``+7…00``."""
    return f"{text[:_SHOWN]}…{text[-_SHOWN:]}" if len(text) > 2 * _SHOWN else "…"
