"""A circuit breaker as a plain value: it is told what happened and when, and answers whether to ask again."""

import math
from dataclasses import dataclass
from typing import Literal

_WAIT_SECONDS_MAX = 60.0
"""The longest time it stays open without a probe, whatever the vendor wishes."""


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to make one attempt; its outcome is reported with it."""

    started_at: float
    answered_at: float | None = None
    """When its answer began."""


class CircuitBreaker:
    """Opens after ``threshold`` failures in a row; lets one attempt through after ``recovery_seconds``.

    That one is the probe: while the breaker is not closed, only the probe's own outcome closes it or opens it again.
    A probe without an outcome for ``recovery_seconds`` is given up, and the next asker is the probe. Attempts count in
    the order of time: what began before the breaker opened says nothing about the vendor after it.

    ``now`` is seconds on any clock that never goes back; the breaker reads no clock itself.
    """

    def __init__(self, *, threshold: int = 5, recovery_seconds: float = 10.0) -> None:
        self._threshold = threshold
        self._recovery_seconds = recovery_seconds
        self._failures = 0
        self._failed_at = self._opened_at = -math.inf
        self._open_until: float | None = None
        self._probe: Permit | None = None
        self.opens = 0
        """How often it has opened."""

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._failures} failures in a row, opened {self.opens} times>"

    def state(self, now: float) -> Literal["closed", "half_open", "open"]:
        """``half_open`` means that one attempt may find out whether the vendor is back."""
        if self._open_until is None:
            return "closed"
        return "half_open" if now >= self._open_until else "open"

    def ask(self, now: float, *, insist: bool = False) -> Permit | None:
        """Leave to make an attempt now, or None. Who insists is never refused; in ``half_open`` one asker is the probe.

        To insist is for an attempt that makes good what another one's failure has broken.
        """
        permit = Permit(now)
        state = self.state(now)
        if state == "half_open" and (self._probe is None or now - self._probe.started_at >= self._recovery_seconds):
            self._probe = permit
            return permit
        return permit if state == "closed" or insist else None

    def answered(self, permit: Permit, now: float) -> None:
        """An answer has begun. After that of the probe others may ask too, and one more failure opens again.

        A stream may last as long as a call; the others do not wait for its end.
        """
        if permit.answered_at is None:
            permit.answered_at = now
        if permit is self._probe:
            self._close(failures=self._threshold - 1)

    def succeeded(self, permit: Permit, now: float) -> None:
        """An attempt was answered. While not closed, that of the probe closes, and any other changes nothing."""
        if permit is self._probe:
            self._close(failures=0)
        elif (
            self._open_until is None and (now if permit.answered_at is None else permit.answered_at) >= self._failed_at
        ):
            self._failures = 0

    def failed(self, permit: Permit, now: float, *, wait: float | None = None) -> None:
        """An attempt failed; the vendor's own wish in seconds (``wait``, Retry-After) opens at once for that long."""
        is_probe = permit is self._probe
        if is_probe or (self._open_until is None and self._is_news(permit)):
            self._failures += 1
            self._failed_at = now
            is_due = is_probe or self._failures >= self._threshold
            self._open(now, wait or (self._recovery_seconds if is_due else 0.0))
        elif wait:
            self._open(now, wait)
        if is_probe:
            self._probe = None

    def abandoned(self, permit: Permit) -> None:
        """An attempt was cancelled by us: it says nothing about the vendor. A probe leaves its place to the next."""
        if permit is self._probe:
            self._probe = None

    def _is_news(self, permit: Permit) -> bool:
        """Whether a failure is not one that was counted already.

        What was never answered and began before the last opening belongs to that outage. Answers that break off belong
        together when they were under way at once: one broken line breaks all of them.
        """
        return permit.started_at >= (self._opened_at if permit.answered_at is None else self._failed_at)

    def _open(self, now: float, seconds: float) -> None:
        if seconds > 0:
            if self.state(now) != "open":
                self.opens += 1
                self._opened_at = now
            self._open_until = max(now + min(seconds, _WAIT_SECONDS_MAX), self._open_until or now)

    def _close(self, *, failures: int) -> None:
        self._failures = failures
        self._open_until = self._probe = None
