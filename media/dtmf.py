"""Keys of a telephone, as they are pressed on a line (RFC 4733, section 3.2)."""

KEYS = tuple("0123456789*#ABCD")
"""Each key's place is its event code."""
WAIT = "w"
WAIT_SECONDS = 0.5
TONE_SECONDS = 0.3
"""From one key to the next: the tone, and the silence that keeps it apart."""

BOUNCE_SECONDS = 0.08
"""The shortest tone and the shortest pause of a telephone are 40 ms each (ITU-T Q.24): no key comes again sooner."""


class KeyBounce:
    """Tells a key that was pressed once and came twice from one that was pressed twice.

    A contact bounces, a gateway tells one tone twice: the same key again at once is the same press. Keys that were held
    up on their way come at once, too, but with the sound between them; so the caller's sound counts as time, save the
    first piece, which may have begun before the key.
    """

    def __init__(self) -> None:
        self._last_key: str | None = None
        self._last_at = 0.0
        self._sound_since: float | None = None

    def hear(self, seconds: float) -> None:
        """A piece of the caller's sound has come."""
        self._sound_since = 0.0 if self._sound_since is None else self._sound_since + seconds

    def is_new(self, key: str, now: float) -> bool:
        """Whether this is another press; ``now`` is in seconds, and never falls."""
        passed = max(now - self._last_at, self._sound_since or 0.0)
        is_new = key != self._last_key or passed >= BOUNCE_SECONDS
        self._last_key, self._last_at, self._sound_since = key, now, None
        return is_new


def event_code(key: str) -> int:
    """The telephone event of a key."""
    return KEYS.index(key)
