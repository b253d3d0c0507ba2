"""A circuit breaker as a plain value: it learns what happened and when, and decides whether to try again."""

import math
from dataclasses import dataclass
from typing import Literal

_REMEMBERED_SECONDS = 10.0
"""For how long after it may be tried again a vendor counts as down when nobody tries it."""
_WAIT_SECONDS_MAX = 60.0
"""The longest time the breaker stays open without a probe, whatever ``Retry-After`` says."""


@dataclass(slots=True, eq=False)
class Permit:
    """Permission for one attempt; report the attempt's outcome with it."""

    started_at: float
    answered_at: float | None = None
    """When the answer began."""


class CircuitBreaker:
    """Opens after ``threshold`` consecutive failures; lets one attempt through after ``recovery_seconds``::

        closed --threshold failures--> open --recovery_seconds--> half_open --probe succeeds--> closed
                                        ^                             |
                                        +-------- probe fails --------+

    The attempt in ``half_open`` is the probe: until the breaker is closed, only the probe's outcome closes or reopens
    it. A probe without an outcome for ``recovery_seconds`` is given up, and the next attempt is the probe. Attempts
    count by the time they began: an attempt from before the breaker opened says nothing about the vendor afterwards.

    ``now`` is in seconds of any monotonic clock; the breaker reads no clock itself.
    """

    def __init__(self, *, threshold: int = 5, recovery_seconds: float = 10.0) -> None:
        self._threshold = threshold
        self._recovery_seconds = recovery_seconds
        self._failures = 0
        self._failed_at = self._opened_at = -math.inf
        self._open_until: float | None = None
        self._probe: Permit | None = None
        self.opens = 0
        """How often the breaker has opened."""

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._failures} failures in a row, opened {self.opens} times>"

    def state(self, now: float) -> Literal["closed", "half_open", "open"]:
        """In ``half_open`` one attempt, the probe, may find out whether the vendor has recovered."""
        if self._open_until is None:
            return "closed"
        return "half_open" if now >= self._open_until else "open"

    def is_down(self, now: float) -> bool:
        """Whether the vendor has failed too often just now, and has not answered since."""
        return self._open_until is not None and now < self._open_until + _REMEMBERED_SECONDS

    def ask(self, now: float, *, insist: bool = False) -> Permit | None:
        """A permit for an attempt now, or None. With ``insist`` it is never None; in ``half_open`` one is the probe.

        Insist only for an attempt that replaces one that failed together with many others.
        """
        permit = Permit(now)
        state = self.state(now)
        if state == "half_open" and (self._probe is None or now - self._probe.started_at >= self._recovery_seconds):
            self._probe = permit
            return permit
        return permit if state == "closed" or insist else None

    def answered(self, permit: Permit, now: float) -> None:
        """Report that an answer has begun. Once the probe's has, other attempts may start; one more failure reopens.

        A stream may last as long as a call, so other attempts do not wait for its end.
        """
        if permit.answered_at is None:
            permit.answered_at = now
        if permit is self._probe:
            self._close(failures=self._threshold - 1)

    def succeeded(self, permit: Permit, now: float) -> None:
        """Report a success. While not closed, the probe's success closes the breaker; others change nothing."""
        if permit is self._probe:
            self._close(failures=0)
        elif (
            self._open_until is None and (now if permit.answered_at is None else permit.answered_at) >= self._failed_at
        ):
            self._failures = 0

    def failed(self, permit: Permit, now: float, *, wait: float | None = None) -> None:
        """Report a failure; ``wait``, the vendor's Retry-After in seconds, opens the breaker at once for that long."""
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
        """Report that we cancelled the attempt, which says nothing of the vendor. The next one may be the probe."""
        if permit is self._probe:
            self._probe = None

    def _is_news(self, permit: Permit) -> bool:
        """Whether a failure is new, and not part of an outage that was counted already.

        An attempt without an answer that began before the last opening belongs to that outage. Answers that were in
        progress at the same time and break off count once: one broken connection breaks all of them.
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
