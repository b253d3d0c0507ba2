"""Keeps a vendor's limits: requests queue by priority, and the vendor's own headers say how many may go.

===========  =====================================================  =============================
priority     may go while                                           waits at most
===========  =====================================================  =============================
live turn    the vendor accepts anything                            0.6 s, then a fallback answers
hedge        a twentieth of the vendor's allowance is left          not at all
background   a quarter of it is left, and a slot besides its own    30 s
===========  =====================================================  =============================

A request whose turn is known to come later than it can wait is refused at once. A worker has one limiter for each limit
of a vendor; its calls share it.
"""

import asyncio
import math
from bisect import insort
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.clients.rate_limit_headers import allowances
from app.errors import Throttled
from app.ports.priority import Priority, current_priority

LIVE_WAIT_SECONDS = 0.6
"""The longest wait within a turn. It is shorter than the time after which a request counts as late."""
_WAITS_SECONDS = {Priority.LIVE_TURN: LIVE_WAIT_SECONDS, Priority.HEDGE: 0.0, Priority.BACKGROUND: 30.0}
_SHARE_LEFT = {Priority.LIVE_TURN: 0.0, Priority.HEDGE: 0.05, Priority.BACKGROUND: 0.25}
"""The share of an allowance that must be left for a request of that priority."""
_PAUSE_SECONDS_MAX = 60.0
_WAITING_MAX = 256
"""Further requests are refused at once."""


class LimiterObserver(Protocol):
    """Called when requests wait or are refused; the metrics implement it. ``priority`` is ``live_turn`` and so on."""

    def waited(self, provider: str, priority: str, seconds: float) -> None:
        """A request was sent after this wait."""

    def refused(self, provider: str, priority: str) -> None:
        """A request was not sent."""


class _NoObserver:
    def waited(self, provider: str, priority: str, seconds: float) -> None:
        """Nothing to do."""

    def refused(self, provider: str, priority: str) -> None:
        """Nothing to do."""


class Slot:
    """Permission for one request. Release it when the vendor has nothing more to do for it."""

    def __init__(self, limiter: "RequestLimiter") -> None:
        self._limiter: RequestLimiter | None = limiter

    def release(self) -> None:
        """Let the next request go. Only the first call counts."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.released()


@dataclass(slots=True, order=True)
class _Waiter:
    priority: Priority
    number: int
    slot: "asyncio.Future[Slot]" = field(compare=False)


@dataclass(slots=True)
class _Budget:
    """An allowance of the vendor, counted down until its next headers."""

    limit: float
    remaining: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class LimitState:
    """How much of a limit is used, in this worker."""

    limit: str
    provider: str
    in_use: int
    """Requests under way."""
    concurrent: int | None
    """The most at once; None for no such limit."""
    waiting: int
    paused_seconds: float
    """How long the vendor still wants no request."""
    left: dict[str, float]
    """The share, 0 to 1, that is left of each allowance which the vendor's headers state, by its kind."""


class RequestLimiter:
    """The queue before one limit of a vendor. All times are of the running loop's clock."""

    def __init__(
        self, provider: str = "provider", *, concurrent: int | None = None, observer: LimiterObserver | None = None
    ) -> None:
        """``concurrent`` is how many requests the vendor serves at once; None for no such limit."""
        self._provider = provider
        self._concurrent = concurrent
        self._observer = observer or _NoObserver()
        self._in_use = 0
        self._paused_until = -math.inf
        self._budgets: dict[str, _Budget] = {}
        self._waiting: list[_Waiter] = []
        self._waiters = 0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<RequestLimiter {self._provider} {self._in_use} of {self._concurrent}, {len(self._waiting)} wait>"

    async def acquire(self) -> Slot:
        """Wait for the turn of a request. Raises Throttled when it would come too late."""
        priority, now = current_priority(), _now()
        is_first = not self._waiting or priority < self._waiting[0].priority
        if is_first and self._may_go(priority, now):
            return self._grant()
        patience = _WAITS_SECONDS[priority]
        if not patience or len(self._waiting) >= _WAITING_MAX or self._opens_at(priority, now) > now + patience:
            raise self._refusal(priority, now)
        slot = await self._wait(priority, patience)
        if slot is None:
            raise self._refusal(priority, _now())
        self._observer.waited(self._provider, priority.name.lower(), _now() - now)
        return slot

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a slot. Raises Throttled."""
        slot = await self.acquire()
        try:
            yield
        finally:
            slot.release()

    def pause(self, seconds: float) -> None:
        """The vendor wants no request for so long (``Retry-After``)."""
        self._paused_until = max(self._paused_until, _now() + min(seconds, _PAUSE_SECONDS_MAX))
        self._wake()

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take up the allowances that the headers of an answer state."""
        for allowance in allowances(headers):
            ends_at = _now() + min(allowance.reset_seconds, _PAUSE_SECONDS_MAX)
            self._budgets[allowance.kind] = _Budget(allowance.limit, allowance.remaining, ends_at)
        self._wake()

    def released(self) -> None:
        """A slot is free."""
        self._in_use -= 1
        self._wake()

    async def _wait(self, priority: Priority, patience: float) -> Slot | None:
        """The slot; None when the patience ends first."""
        self._waiters += 1
        waiter = _Waiter(priority, self._waiters, asyncio.get_running_loop().create_future())
        insort(self._waiting, waiter)
        self._wake()
        try:
            await asyncio.wait([waiter.slot], timeout=patience)
        except asyncio.CancelledError:
            if waiter.slot.done():
                waiter.slot.result().release()
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        return waiter.slot.result() if waiter.slot.done() else None

    def _wake(self) -> None:
        """Let all go whose turn it is, and look again when the next one's may come."""
        now = _now()
        while self._waiting and self._may_go(self._waiting[0].priority, now):
            self._waiting.pop(0).slot.set_result(self._grant())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        opens_at = self._opens_at(self._waiting[0].priority, now) if self._waiting else now
        if opens_at > now:
            self._timer = asyncio.get_running_loop().call_at(opens_at, self._wake)

    def _may_go(self, priority: Priority, now: float) -> bool:
        return self._opens_at(priority, now) <= now and self._has_slot(priority)

    def _has_slot(self, priority: Priority) -> bool:
        if self._concurrent is None:
            return True
        kept_free = 1 if priority is Priority.BACKGROUND and self._concurrent > 1 else 0
        return self._in_use < self._concurrent - kept_free

    def _opens_at(self, priority: Priority, now: float) -> float:
        """When the vendor's pause and its allowances let a request of that priority go; free slots aside."""
        share = _SHARE_LEFT[priority]
        spent = [
            budget.ends_at
            for budget in self._budgets.values()
            if budget.ends_at > now and budget.remaining <= budget.limit * share
        ]
        return max([self._paused_until, *spent])

    def state(self, limit: str) -> LimitState:
        """Its use now; ``limit`` is its name."""
        now = _now()
        left = {
            kind: round(max(0.0, budget.remaining) / budget.limit, 3)
            for kind, budget in self._budgets.items()
            if budget.ends_at > now and budget.limit > 0
        }
        paused = round(max(0.0, self._paused_until - now), 1)
        return LimitState(
            limit, self._provider, self._in_use, self._concurrent, len(self._waiting), paused_seconds=paused, left=left
        )

    def _grant(self) -> Slot:
        self._in_use += 1
        if "requests" in self._budgets:
            self._budgets["requests"].remaining -= 1
        return Slot(self)

    def _refusal(self, priority: Priority, now: float) -> Throttled:
        self._observer.refused(self._provider, priority.name.lower())
        wait = self._opens_at(priority, now) - now
        return Throttled(self._provider, "not sent, its limit is used up", retry_after=wait if wait > 0 else None)


class Limiters:
    """The limiters of a process, by the limit they keep."""

    def __init__(self, observer: LimiterObserver | None = None, *, workers: int = 1) -> None:
        """``workers`` share each vendor's slots evenly."""
        self._observer = observer
        self._workers = workers
        self._made: dict[str, RequestLimiter] = {}

    def of(self, limit: str, provider: str, *, concurrent: int | None = None) -> RequestLimiter:
        """The limiter of that limit. ``concurrent`` is for all workers together; each has one slot at least."""
        if limit not in self._made:
            share = None if concurrent is None else max(1, concurrent // self._workers)
            self._made[limit] = RequestLimiter(provider, concurrent=share, observer=self._observer)
        return self._made[limit]

    def states(self) -> list[LimitState]:
        """The use of each limit now."""
        return [limiter.state(limit) for limit, limiter in self._made.items()]


def _now() -> float:
    return asyncio.get_running_loop().time()
