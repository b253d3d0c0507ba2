"""Keys of a telephone, as they are pressed on a line (RFC 4733, section 3.2)."""

KEYS = tuple("0123456789*#ABCD")
"""Each key's place is its event code."""
WAIT = "w"
WAIT_SECONDS = 0.5
TONE_SECONDS = 0.3
"""From one key to the next: the tone, and the silence that keeps it apart."""


def event_code(key: str) -> int:
    """The telephone event of a key."""
    return KEYS.index(key)
