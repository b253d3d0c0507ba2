"""Ends the calls that no core can end: their process died, or they were never taken."""

import asyncio
from collections.abc import Callable

import structlog

from app.calls.dispatch.leases import LeaseKeeper
from app.calls.live.session import CallServices
from app.clock import iso_after
from app.conversation import events as ev
from app.errors import VoiceAgentError
from app.journal.readable_rows import readable
from app.journal.record import call_record
from app.models import JournalRow
from app.observability.listeners import Listeners
from app.observability.outages import Outage
from app.ports.services import CallEnding, Journal, JournalReader
from app.storage.calls import CallRow

log = structlog.get_logger(__name__)

_REAP_SECONDS = 0.5


class Reaper:
    """Ends the calls whose leases have run out, as ``crashed``."""

    def __init__(
        self,
        services: CallServices,
        reader: JournalReader,
        leases: LeaseKeeper,
        *,
        held: Callable[[], list[str]],
        agent_tools: Callable[[], frozenset[str]],
    ) -> None:
        """``held`` gives the calls of this process; ``agent_tools`` the names of tools that metrics may show."""
        self._services = services
        self._reader = reader
        self._leases = leases
        self._held = held
        self._agent_tools = agent_tools
        self.on_crashed = Listeners[[CallRow]]("call.crashed")
        """Told of each call that was ended here."""

    async def run(self) -> None:
        """Look until cancelled."""
        outage = Outage("reaper.failed", "reaper.recovered")
        while True:
            try:
                await self._reap()
            except VoiceAgentError as error:
                outage.failed(error)
            else:
                outage.over()
            await asyncio.sleep(_REAP_SECONDS)

    async def _reap(self) -> None:
        # Read before the watch is asked: if something stops this process from here on, it judges as of this moment.
        now = self._leases.now()
        services = self._services
        expired = await services.calls.take_over_expired(
            now,
            services.owner,
            until=self._leases.until(now),
            alive=self._held(),
            only_released=not self._leases.watch.may_judge(),
        )
        for call in expired:
            try:
                rows = await self._reader.rows(call.call_id)
                end_crashed(call, rows, services.journal)
                await services.journal.flush(call.call_id)
            except Exception as error:  # noqa: BLE001 - the other calls are ended all the same; this one is tried again
                log.error("call.not_reaped", call_id=call.call_id, error=type(error).__name__)
            else:
                log.warning("call.ended", call_id=call.call_id, end_reason="crashed", fault="ours")
                self.on_crashed(call)
                services.metrics.call_crashed()
                is_outbound = call.direction == "outbound"
                services.metrics.journal.count(readable(rows), tools=self._agent_tools(), is_outbound=is_outbound)


def end_crashed(call: CallRow, rows: list[JournalRow], journal: Journal) -> None:
    """Write the terminal row of a call that was taken over; it ended when its last fact was written."""
    end_without_core(call, rows, journal, ev.CallEnded("crashed", "ours"))


def end_without_core(call: CallRow, rows: list[JournalRow], journal: Journal, ended: ev.CallEnded) -> None:
    """Write the terminal row with the time of the row before it, or of the call's beginning."""
    seq, t = (rows[-1].seq + 1, rows[-1].t) if rows else (1, 0.0)
    at = iso_after(call.created_at, t)
    row = JournalRow(seq, at, t, ended.type, None, ev.VERSION, ev.row_data(ended))
    record = call_record([*rows, row])
    ending = CallEnding(
        ended_at=at,
        duration_seconds=record.duration_seconds,
        end_reason=ended.reason,
        fault=ended.fault,
        language=record.language,
        summary=record.summary(),
    )
    journal.append(call.call_id, call.fence, row, ending)
