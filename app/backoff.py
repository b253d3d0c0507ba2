"""How long to wait before a retry."""

import random
from dataclasses import dataclass

_DOUBLINGS_MAX = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with a cap: the wait doubles with each consecutive failure."""

    first_seconds: float
    max_seconds: float
    immediate_retries: int = 0
    """How many failures are followed by another attempt at once, without a wait."""
    jitter: float = 0.0
    """Each wait is longer or shorter by up to this share of itself, so that many who failed together spread out."""

    def delay(self, failures: int) -> float:
        """Seconds to wait after the ``failures``-th consecutive failure, counted from 1."""
        waits = max(failures, 1) - self.immediate_retries
        if waits < 1:
            return 0.0
        delay = min(self.first_seconds * 2.0 ** min(waits - 1, _DOUBLINGS_MAX), self.max_seconds)
        if self.jitter:
            delay *= random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - spreads attempts, keeps no secret
        return delay
