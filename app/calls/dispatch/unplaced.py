"""Ends outbound calls that no process places: after a minute, or when an operator hangs up.

A process that can dial claims a call within milliseconds. If none can, because LiveKit is no longer set up or all of
them are stuck, the call takes up a place and its client waits. So every process looks, with or without a telephone.
"""

import asyncio
from collections.abc import Callable

import structlog

from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.dispatch.leases import LEASE_SECONDS
from app.clock import lease_now
from app.conversation import events as ev
from app.errors import OwnershipLost, StorageError
from app.storage.calls import CallRow, CallStore

log = structlog.get_logger(__name__)

PLACED_WITHIN_SECONDS = 60.0
"""How long a call may wait to be placed. After that its client has given up."""
PLACED_TOO_LATE = ev.CallEnded(
    "shutdown", "ours", f"never dialled: no process placed it within {PLACED_WITHIN_SECONDS:g} s"
)
_HUNG_UP = ev.CallEnded("operator_hangup", "none", "never dialled: hung up before any process placed it")
_LOOK_SECONDS = 0.5


class UnplacedCalls:
    """Ends outbound calls without an owner that are overdue, or that an operator hangs up."""

    def __init__(
        self,
        calls: CallStore,
        dispatcher: CallDispatcher,
        owner: str,
        *,
        lease_clock: Callable[[], float] = lease_now,
    ) -> None:
        self._calls = calls
        self._dispatcher = dispatcher
        self._owner = owner
        self._lease_clock = lease_clock

    async def look(self) -> None:
        """One round: sleep, then end the calls that are due."""
        await asyncio.sleep(_LOOK_SECONDS)
        now = self._lease_clock()
        until = now + LEASE_SECONDS
        for call in await self._calls.claim_hung_up(self._owner, until):
            await self._end(call, _HUNG_UP)
        for call in await self._calls.claim_overdue(now, self._owner, until):
            log.warning("call.placed_too_late", call_id=call.call_id)
            await self._end(call, PLACED_TOO_LATE)

    async def _end(self, call: CallRow, ended: ev.CallEnded) -> None:
        """End a call. If its end cannot be written, its lease runs out, and the reaper ends it as crashed."""
        try:
            await self._dispatcher.end_unstarted(call, ended)
        except (StorageError, OwnershipLost) as error:
            log.error("call.not_ended", call_id=call.call_id, code=error.code)
        else:
            log.info("call.ended", call_id=call.call_id, end_reason=ended.reason, fault=ended.fault)
