"""Who owns a call: how a process keeps its calls, and when it may conclude that another process is dead."""

import asyncio
from collections.abc import Callable

from app.errors import VoiceAgentError
from app.observability.outages import Outage
from app.storage.calls import CallStore

LEASE_SECONDS = 2.0
"""How long a call belongs to the process that renewed its lease."""
RENEW_SECONDS = 0.5
_GAP_SECONDS = 1.0
"""The longest normal time between two renewals. A delay that short lets no other process's lease run out."""


class LeaseWatch:
    """Whether this process may judge others by their leases.

    A lease runs out because its owner is dead, or because something kept the owner from renewing it: a locked database,
    a machine that slept. Whatever kept others from it also kept this process. So a process that could not renew its own
    leases judges nobody until it has renewed them for a whole lease period: by then every living process has done so.

    ``clock`` is :func:`app.clock.lease_now`, which goes on while the process is stopped or the machine sleeps.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._renewed_at: float | None = None
        self._in_order_since = 0.0

    def __repr__(self) -> str:
        return f"<LeaseWatch {'may' if self.may_judge() else 'may not'} judge>"

    def renewed(self) -> None:
        """This process has just renewed its leases, or has shown that it could."""
        now = self._clock()
        if self._renewed_at is None or now - self._renewed_at > _GAP_SECONDS:
            self._in_order_since = now
        self._renewed_at = now

    def may_judge(self) -> bool:
        """Whether renewing has worked without a gap for the length of a lease, and still does."""
        if self._renewed_at is None:
            return False
        now = self._clock()
        return now - self._renewed_at <= _GAP_SECONDS and now - self._in_order_since >= LEASE_SECONDS


class LeaseKeeper:
    """Keeps this process the owner of its calls."""

    def __init__(
        self,
        calls: CallStore,
        owner: str,
        *,
        held: Callable[[], list[str]],
        on_lost: Callable[[str], None],
        on_not_renewed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """``held`` returns the calls of this process. ``on_lost`` is called with each that another process owns."""
        self._calls = calls
        self._owner = owner
        self._held = held
        self._on_lost = on_lost
        self._on_not_renewed = on_not_renewed
        self._clock = clock
        self.watch = LeaseWatch(clock)

    async def run(self) -> None:
        """Renew the leases until cancelled."""
        outage = Outage("leases.not_renewed", "leases.in_order")
        while True:
            try:
                await self._renew()
            except VoiceAgentError as error:
                self._on_not_renewed()
                outage.failed(error)
            else:
                outage.over()
            await asyncio.sleep(RENEW_SECONDS)

    def now(self) -> float:
        """The time by the clock of the leases."""
        return self._clock()

    def until(self, now: float) -> float:
        """When a lease that is renewed at that time runs out."""
        return now + LEASE_SECONDS

    async def _renew(self) -> None:
        """Renew, even without a call: a process that reaps must know whether leases can be renewed at all."""
        lost = await self._calls.renew_leases(self._owner, self._held(), self.until(self.now()))
        self.watch.renewed()
        for call_id in lost:
            self._on_lost(call_id)
