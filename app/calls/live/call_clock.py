"""The clock of one call. It counts seconds since the call was created, and since it was answered."""

import asyncio
from datetime import datetime

from app.clock import iso_after, iso_utc

_DIGITS = 6
"""Times are rounded to microseconds for journal and core alike, so that a replay sees the same numbers."""


class CallClock:
    """Runs on the event loop's clock. It reads the wall clock once, when the call is created."""

    def __init__(self, created_at: datetime) -> None:
        self._time = asyncio.get_running_loop().time
        self._created = self._time()
        self._answered: float | None = None
        self._last = 0.0
        self.created_at = iso_utc(created_at)

    @classmethod
    def resumed(cls, created_at: datetime, *, elapsed: float, last: float, answered: float | None) -> "CallClock":
        """The clock of a call that was created ``elapsed`` seconds ago, by another process.

        ``last`` is the last time that was told of it, and ``answered`` when it was answered, in call seconds.
        """
        clock = cls(created_at)
        clock._created -= elapsed
        clock._last = last
        clock._answered = None if answered is None else clock._created + answered
        return clock

    def call_seconds(self, at_least: float = 0.0) -> float:
        """Seconds since the call was created. Never decreases, and is never less than ``at_least``."""
        self._last = max(self._last, at_least, round(self._time() - self._created, _DIGITS))
        return self._last

    def leg_seconds(self) -> float:
        """Seconds since the call was answered; 0 before."""
        return 0.0 if self._answered is None else self._time() - self._answered

    @property
    def answered_t(self) -> float:
        """When the call was answered, in call seconds; 0 before."""
        return 0.0 if self._answered is None else round(self._answered - self._created, _DIGITS)

    def answer(self) -> float:
        """The call is answered now. Returns the seconds since it was created."""
        self._answered = self._time()
        return self.call_seconds()

    def moment(self, call_seconds: float) -> float:
        """That time of the call on the event loop's clock, for its timers."""
        return self._created + call_seconds

    def wall(self, call_seconds: float) -> str:
        """That time of the call on the wall clock: ISO 8601, UTC."""
        return iso_after(self.created_at, call_seconds)
