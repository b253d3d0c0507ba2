"""Meters what a live call costs, and says when its limit is near or reached."""

import asyncio
from collections.abc import Callable, Iterable

from app.calls.live.call_clock import CallClock
from app.conversation import events as ev

_LOOK_SECONDS = 1.0
"""How often costs are looked at that grow with time: recognition and the line."""
_NEAR = 0.8
"""The share of the limit at which a warning is written."""
_DOLLAR_DIGITS = 6


class SpendingMeter:
    """Adds up what a call has cost so far, at list prices: models, voices, recognition and the line.

    It counts everything that vendors bill, whether the caller heard it or not. What has no known price counts as
    nothing here, and the events say so. A request counts when it has ended, so a call may exceed its limit by those
    under way.

    Task ledger: ``<call>:spending`` looks each second. It ends with the call, and only runs where there is a limit.
    """

    def __init__(
        self,
        limit_usd: float | None,
        telephony_usd_per_minute: float | None,
        *,
        clock: CallClock,
        emit: Callable[[ev.Event], None],
    ) -> None:
        self._limit = limit_usd
        self._per_minute = telephony_usd_per_minute
        self._clock = clock
        self._emit = emit
        self._used = 0.0
        self._is_complete = telephony_usd_per_minute is not None
        self._due = _NEAR
        """The share of the limit to report next."""

    def __repr__(self) -> str:
        return f"<SpendingMeter {self._used:.4f} of {self._limit} USD>"

    def note(self, event: ev.Event) -> None:
        """Take what a vendor will bill; other events do not count."""
        if isinstance(event, ev.ProviderUsed):
            self._used += event.cost or 0.0
            self._is_complete = self._is_complete and event.cost is not None

    def resume(self, events: Iterable[ev.Event]) -> None:
        """Take what the call has cost in other processes. What they reported is not reported again."""
        for event in events:
            self.note(event)
            if isinstance(event, ev.SpendingReached):
                self._due = 1.0 if event.spent_usd < event.limit_usd else float("inf")

    async def watch(self, listening: Callable[[], Iterable[float | None]]) -> None:
        """Look until cancelled. ``listening`` returns what recognition has cost so far."""
        while self._limit is not None:
            self._look(self._limit, list(listening()))
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, limit: float, listening: list[float | None]) -> None:
        line = (self._per_minute or 0.0) * self._clock.leg_seconds() / 60
        spent = round(self._used + line + sum(cost or 0.0 for cost in listening), _DOLLAR_DIGITS)
        if spent < limit * self._due:
            return
        self._due = 1.0 if spent < limit else float("inf")
        is_complete = self._is_complete and None not in listening
        self._emit(ev.SpendingReached(spent, limit, is_complete))
