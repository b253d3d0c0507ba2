"""How long to wait before a retry."""

from dataclasses import dataclass

_DOUBLINGS_MAX = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with a cap: the wait doubles with each consecutive failure."""

    first_seconds: float
    max_seconds: float

    def delay(self, failures: int) -> float:
        """Seconds to wait after the ``failures``-th consecutive failure, counted from 1."""
        doublings = min(max(failures, 1) - 1, _DOUBLINGS_MAX)
        return min(self.first_seconds * 2.0**doublings, self.max_seconds)
