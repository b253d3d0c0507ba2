"""Which process takes which call: callers in the inbox, and calls to be placed, go to the idlest.

Task ledger.

``claims``  takes what waits. Ends by cancellation.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.backoff import Backoff
from app.calls.dispatch.leases import LEASE_SECONDS
from app.clock import lease_now, utc_now
from app.models import TelephoneCall
from app.observability.listeners import Listeners
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow, CallStore
from app.storage.webhooks import WebhookInbox

_LOOK_SECONDS = 0.05
"""Between two looks, where another process may have been told; a look costs half a millisecond, so 1 % of a core."""
_LOOK_AGAIN = Backoff(first_seconds=1.0, max_seconds=1.0)
"""A caller waits, so a storage that is back is noticed soon."""
_WAIT_SECONDS_A_CALL = 0.002
"""How much longer than an idle process one waits for each of its calls: the idlest is the first."""
_WAIT_SECONDS_MAX = 0.04
_WAIT_SECONDS_ABOVE_AVERAGE = 0.06
"""Every other process has looked by then."""
_WAIT_SECONDS_WHEN_FULL = 0.25
_TAKEN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Share:
    """What part of the calls this process is meant to carry."""

    owner: str
    places: int
    """Calls of this process, before it leaves others to the other processes."""
    all_places: int
    """Calls of all processes together; who comes then is refused."""
    has_siblings: bool
    """Whether other processes take calls from the same database."""


class Claims:
    """Takes callers and calls to be placed, each once, and hands them on.

    A process alone takes all it finds when it is rung. One of several looks each 50 ms, and takes one at a time: after
    a wait that grows with its calls; when it has more of them than the others on average, after all others have looked;
    after a quarter of a second when it has its share, because a process with more than its share is better than a
    caller nobody answers. When nobody has a place, all are taken at once, to be
    refused.

    ``on_caller`` is given a caller in a room. ``on_outbound`` is given a call that is to be placed: whoever wants one
    inserts a row into ``calls`` with direction ``outbound``, status ``ringing`` and neither owner nor lease, and rings.
    The row given has this process for its owner, the fence to write its journal with, and a lease of 2 s, before the
    end of which the dispatcher must have the call. Both are called on the event loop and must not wait; neither has to
    be asked about draining or capacity, which the dispatcher knows.
    """

    def __init__(
        self,
        inbox: WebhookInbox,
        calls: CallStore,
        share: Share,
        *,
        live_calls: Callable[[], int],
        on_caller: Callable[[TelephoneCall], None],
        on_outbound: Callable[[CallRow], None] | None = None,
        loops: ServiceLoops,
    ) -> None:
        self._inbox = inbox
        self._calls = calls
        self._share = share
        self._live_calls = live_calls
        self._on_caller = Listeners("caller.claimed", on_caller)
        self._on_outbound = Listeners("call.claimed", on_outbound) if on_outbound is not None else None
        self._rung = asyncio.Event()
        self._rung.set()
        self._loop = loops.keep("claims", self._look, backoff=_LOOK_AGAIN)

    def ring(self) -> None:
        """Something waits: this process was told of it."""
        self._rung.set()

    def stop(self) -> None:
        """Take no more; the calls have been drained."""
        self._loop.cancel()

    async def _look(self) -> None:
        """Wait until something may wait, and take it."""
        await self._woken()
        try:
            while await self._calls.is_any_unclaimed():
                seconds, limit = await self._patience()
                await asyncio.sleep(seconds)
                if not await self._claim(limit):
                    break
        except BaseException:
            self._rung.set()  # what waits is looked for again, whoever rings
            raise

    async def _woken(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS if self._share.has_siblings else None):
                await self._rung.wait()
        self._rung.clear()

    async def _patience(self) -> tuple[float, int]:
        """For how many seconds what waits is left to others, and how many are taken then."""
        if not self._share.has_siblings:
            return 0.0, _TAKEN_AT_ONCE
        live, owned, share = self._live_calls(), await self._calls.count_owned(), self._share
        if owned >= share.all_places:
            return 0.0, _TAKEN_AT_ONCE
        if live >= share.places:
            return _WAIT_SECONDS_WHEN_FULL, 1
        if live * share.all_places > owned * share.places:
            return _WAIT_SECONDS_ABOVE_AVERAGE, 1
        return min(live * _WAIT_SECONDS_A_CALL, _WAIT_SECONDS_MAX), 1

    async def _claim(self, limit: int) -> bool:
        """Whether there was anything to take."""
        callers = await self._inbox.take(utc_now(), limit)
        for caller in callers:
            self._on_caller(caller)
        if callers or self._on_outbound is None:
            return bool(callers)
        rows = await self._calls.claim_unowned(self._share.owner, lease_now() + LEASE_SECONDS, limit)
        for row in rows:
            self._on_outbound(row)
        return bool(rows)
