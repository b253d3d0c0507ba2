"""A circuit breaker as a plain value: it is told what happened and when, and answers whether to ask again."""

from typing import Literal


class CircuitBreaker:
    """Opens after ``threshold`` failures in a row; lets one request through after ``recovery_seconds``.

    ``now`` is seconds on any clock that never goes back; the breaker reads no clock itself.
    """

    def __init__(self, *, threshold: int = 5, recovery_seconds: float = 10.0) -> None:
        self._threshold = threshold
        self._recovery_seconds = recovery_seconds
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self.opens = 0
        """How often it has opened."""

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._failures} failures in a row, opened {self.opens} times>"

    def state(self, now: float) -> Literal["closed", "half_open", "open"]:
        """``half_open`` means that one request may find out whether the vendor is back."""
        if self._open_until is None:
            return "closed"
        return "half_open" if now >= self._open_until else "open"

    def allows(self, now: float) -> bool:
        """Whether a request may be made now. A True in ``half_open`` is given to one asker at a time."""
        state = self.state(now)
        if state == "half_open" and not self._probing:
            self._probing = True
            return True
        return state == "closed"

    def succeeded(self) -> None:
        """A request was answered: closed again."""
        self._failures = 0
        self._open_until = None
        self._probing = False

    def answered(self) -> None:
        """An answer has begun. After a probe others may ask too, and one more failure opens again.

        A stream may last as long as a call; the others do not wait for its end.
        """
        if self._probing:
            self._failures = self._threshold - 1
            self._open_until = None
            self._probing = False

    def failed(self, now: float, *, wait: float | None = None) -> None:
        """A request failed; the vendor's own wish in seconds (``wait``, Retry-After) opens at once for that long."""
        self._failures += 1
        is_due = self._probing or self._failures >= self._threshold
        pause = wait or (self._recovery_seconds if is_due else 0.0)
        if pause > 0:
            self.opens += self.state(now) != "open"
            self._open_until = max(now + pause, self._open_until or now)
        self._probing = False

    def abandoned(self) -> None:
        """A request was cancelled by us: it says nothing about the vendor, and frees the probe."""
        self._probing = False
