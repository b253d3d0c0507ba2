"""Decides which process takes which call: waiting callers and outbound calls go to the process with the fewest calls.

Task ledger.

``claims``  takes the calls that wait. Ends when it is cancelled.
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
"""The time between two looks, if another process may get the webhook. A look takes 0.5 ms, so 1 % of a core."""
_LOOK_WHEN_TOLD_SECONDS = 0.5
"""The same, while other processes tell of their webhooks."""
_LOOK_AGAIN = Backoff(first_seconds=1.0, max_seconds=1.0)
"""Short, because callers wait: a database that is back must be noticed soon."""
_WAIT_SECONDS_A_CALL = 0.002
"""How much longer a process waits for each of its calls. So the process with the fewest calls is the first."""
_WAIT_SECONDS_MAX = 0.04
_WAIT_SECONDS_ABOVE_AVERAGE = 0.06
"""After this time every other process has looked."""
_WAIT_SECONDS_WHEN_FULL = 0.25
_TAKEN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Share:
    """How many calls this process should carry."""

    owner: str
    places: int
    """The calls of this process. Above it, other processes take new calls first."""
    all_places: int
    """The calls of all processes together. Above it, callers are refused."""
    has_siblings: bool
    """Whether other processes take calls from the same database."""


class Claims:
    """Takes waiting callers and outbound calls, each once, and hands them on.

    A single process takes everything it finds when it is woken. One of several looks every 50 ms and takes one call at
    a time, after a wait:

    ======================================  ===================================================================
    its calls                               wait
    ======================================  ===================================================================
    no more than the average                2 ms for each of its calls, 40 ms at most
    more than the average                   60 ms: all others have looked by then
    its whole share                         250 ms: better more than its share than a caller nobody answers
    all places of all processes are taken   none: it takes everything at once, to be refused
    ======================================  ===================================================================

    ``on_caller`` gets a caller in a room. ``on_outbound`` gets the row of an outbound call. To request such a call,
    insert a row into ``calls`` with direction ``outbound``, status ``ringing`` and neither owner nor lease, and call
    :meth:`wake`. The claimed row has this process as its owner, the fence to write its journal, and a lease of 2 s,
    within which the dispatcher must take over the call. Both are called on the event loop and must not wait. Neither
    needs to check draining or capacity: the dispatcher does.
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
        self._awake = asyncio.Event()
        self._awake.set()
        inbox.wakeups.heard["calls"].add(lambda _call_id: self.wake())
        self._loop = loops.keep("claims", self._look, backoff=_LOOK_AGAIN)

    def wake(self) -> None:
        """Wake the loop: a call waits."""
        self._awake.set()

    def stop(self) -> None:
        """Take no more calls. The live ones have been drained before."""
        self._loop.cancel()

    async def _look(self) -> None:
        """One round: sleep until a call may wait, and take what waits."""
        await self._woken()
        try:
            while await self._calls.is_any_unclaimed():
                seconds, limit = await self._patience()
                await asyncio.sleep(seconds)
                if not await self._claim(limit):
                    break
        except BaseException:
            self._awake.set()  # look again without being woken
            raise

    async def _woken(self) -> None:
        with suppress(TimeoutError):
            seconds = self._inbox.wakeups.poll_seconds(_LOOK_SECONDS, _LOOK_WHEN_TOLD_SECONDS)
            async with asyncio.timeout(seconds if self._share.has_siblings else None):
                await self._awake.wait()
        self._awake.clear()

    async def _patience(self) -> tuple[float, int]:
        """How many seconds to leave what waits to other processes, and how many calls to take after that."""
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
        """Take waiting calls. Returns whether there were any."""
        callers = await self._inbox.take(utc_now(), limit)
        for caller in callers:
            self._on_caller(caller)
        if callers or self._on_outbound is None:
            return bool(callers)
        rows = await self._calls.claim_unowned(self._share.owner, lease_now() + LEASE_SECONDS, limit)
        for row in rows:
            self._on_outbound(row)
        return bool(rows)
