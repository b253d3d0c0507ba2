"""Telephone keys: their DTMF event codes (RFC 4733, section 3.2), and how to tell a bounce from a second press."""

KEYS = tuple("0123456789*#ABCD")
"""A key's index is its event code."""
WAIT = "w"
WAIT_SECONDS = 0.5
TONE_SECONDS = 0.3
"""From one key to the next: the tone and the silence after it."""

BOUNCE_SECONDS = 0.08
"""The shortest tone and the shortest pause are 40 ms each (ITU-T Q.24), so no key can repeat sooner."""


class KeyBounce:
    """Debounces keys: one press that is reported twice counts once, two presses count twice.

    A contact bounces, or a gateway reports one tone twice; then the same key arrives again within 80 ms. Keys that the
    network delayed also arrive together, but with the audio between them. So audio that arrives between two keys counts
    as time too, except its first piece, which may have begun before the key.
    """

    def __init__(self) -> None:
        self._last_key: str | None = None
        self._last_at = 0.0
        self._sound_since: float | None = None

    def note_audio(self, seconds: float) -> None:
        """A piece of the caller's audio has arrived, this many seconds long."""
        self._sound_since = 0.0 if self._sound_since is None else self._sound_since + seconds

    def is_new(self, key: str, now: float) -> bool:
        """Whether this is a new press; ``now`` is in seconds and never goes back."""
        passed = max(now - self._last_at, self._sound_since or 0.0)
        is_new = key != self._last_key or passed >= BOUNCE_SECONDS
        self._last_key, self._last_at, self._sound_since = key, now, None
        return is_new


def event_code(key: str) -> int:
    """The RFC 4733 event code of a key."""
    return KEYS.index(key)
