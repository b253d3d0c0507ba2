"""Finds the calls whose process has died: they go on here if they can, and end otherwise."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from app.calls.dispatch.heirs import Heirs
from app.calls.dispatch.leases import LeaseKeeper
from app.calls.live.end_metrics import count_end
from app.calls.live.session import CallServices
from app.clock import iso_after, iso_utc, utc_now
from app.conversation import events as ev
from app.errors import OwnershipLost, VoiceAgentError
from app.journal.analysis import wants_analysis
from app.journal.readable_rows import readable
from app.journal.record import call_record
from app.journal.revival import Revival
from app.models import JournalRow
from app.observability.listeners import Listeners
from app.observability.outages import Outage
from app.ports.services import CallEnding, Journal, JournalReader
from app.storage.calls import CallRow
from app.storage.owner_locks import OwnerLock
from app.storage.unsaved import UnsavedEnds

log = structlog.get_logger(__name__)

_REAP_SECONDS = 0.2
"""Callers hear nothing meanwhile. A look that finds nothing is one or two reads."""
_ATTEMPTS = 10
"""Attempts to end a call whose rows cannot be read for a reason that may pass. They are some seconds apart."""
_CRASHED = ev.CallEnded("crashed", "ours")
_NOT_RESUMED = ev.CallEnded("media_lost", "ours", "its process died, and its client did not come back")


class Reaper:
    """Takes the calls whose leases have run out, and has them go on, or ends them."""

    def __init__(
        self,
        services: CallServices,
        reader: JournalReader,
        leases: LeaseKeeper,
        heirs: Heirs,
        *,
        held: Callable[[], list[str]],
        agent_tools: Callable[[], frozenset[str]],
        unsaved: UnsavedEnds | None = None,
        lock: OwnerLock | None = None,
    ) -> None:
        """``held`` gives the calls of this process; ``agent_tools`` the names of tools that metrics may show.

        ``unsaved`` holds the ends of calls that dead processes could not commit.
        """
        self._unsaved = unsaved
        self._heirs = heirs
        self._lock = lock
        self._services = services
        self._reader = reader
        self._leases = leases
        self._held = held
        self._agent_tools = agent_tools
        self._failed: dict[str, int] = {}
        """How often each call could not be ended."""
        self.on_over = Listeners[[CallRow]]("call.over")
        """Called with each call that its core had ended, whose line may still be open."""
        self.on_crashed = Listeners[[CallRow]]("call.crashed")
        """Called with each call that was ended here because its process had died."""

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
        # Read before the watch is asked: if something stops this process from here on, it still judges by this time.
        now = self._leases.now()
        services = self._services
        await self._release_dead()
        expired = await services.calls.take_over_expired(
            now,
            services.owner,
            until=self._leases.until(now),
            alive=self._held(),
            only_released=not self._leases.watch.may_judge(),
        )
        for call in expired:
            try:
                await self._settle(call)
            except Exception as error:  # noqa: BLE001 - the other calls are settled all the same; this one is tried again
                log.error("call.not_reaped", call_id=call.call_id, error=type(error).__name__)

    async def _release_dead(self) -> None:
        """Release the calls of processes that are certainly dead, so that nobody waits for their leases to run out."""
        if self._lock is None:
            return
        calls = self._services.calls
        for owner in await self._lock.dead(await calls.other_owners(self._services.owner)):
            released = await calls.release_leases(owner)
            log.warning("owner.dead", owner=owner, calls=released)

    async def _settle(self, call: CallRow) -> None:
        """Go on with the call, or end it for the reason that its core had decided, or as crashed."""
        if await self._save_end(call):
            return
        revival = await self._revive(call)
        if revival is None or revival.ending is not None or not self._heirs.go_on(call, revival):
            await self.end(call, revival)

    async def _revive(self, call: CallRow) -> Revival | None:
        try:
            rows = await self._reader.rows(call.call_id)
        except VoiceAgentError:
            raise
        except Exception as error:  # noqa: BLE001 - rows that cannot be read: the call ends without them
            log.error("call.not_revived", call_id=call.call_id, reason=type(error).__name__)
            return None
        return await self._heirs.read(call, rows) if rows else None

    async def end(self, call: CallRow, revival: Revival | None = None) -> None:
        """End a call of a dead process. Raises errors that may pass."""
        ended = _CRASHED if revival is None or revival.ending is None else revival.ending
        if ended is _CRASHED and call.resume_hash is not None:
            ended = _NOT_RESUMED
        rows = await self._end(call, ended, () if revival is None else revival.undecided)
        if self._unsaved is not None:
            self._unsaved.forget(call.call_id)  # its rows do not follow those of the journal
        log.warning("call.ended", call_id=call.call_id, end_reason=ended.reason, fault=ended.fault)
        if ended is _CRASHED:
            self.on_crashed(call)
        elif ended.reason != "transferred":  # then the caller may be with a human in their room
            self.on_over(call)
        if not call.synthetic:
            self._services.metrics.call_ended(ended.reason, ended.fault, None, direction=call.direction)
            self._count_crashed(call, rows)

    async def _save_end(self, call: CallRow) -> bool:
        """Commit what the call's owner could not commit before it died, if the call had ended; False if it had not."""
        unsaved = None if self._unsaved is None else await self._unsaved.read(call.call_id)
        if self._unsaved is None or unsaved is None:
            return False
        rows = await self._reader.rows(call.call_id)
        newer = [row for row in unsaved.rows if not rows or row.seq > rows[-1].seq]
        if not newer or newer[0].seq != (rows[-1].seq + 1 if rows else 1):
            return False
        for row in newer:
            ending = unsaved.ending if row is newer[-1] else None
            self._services.journal.append(call.call_id, call.fence, row, ending)
        await self._services.journal.flush(call.call_id)
        self._unsaved.forget(call.call_id)
        log.info("call.end_saved", call_id=call.call_id, end_reason=unsaved.ending.end_reason)
        whole, metrics = [*rows, *newer], self._services.metrics
        if call.synthetic:
            return True
        self._count(call, lambda tools: count_end(metrics, whole, direction=call.direction, tools=tools))
        return True

    async def _end(self, call: CallRow, ended: ev.CallEnded, undecided: Sequence[ev.Event]) -> list[JournalRow]:
        """End the call and return its rows. Raises errors that may pass.

        A call whose rows cannot be read, or whose last row the database refuses, ends without a last row.
        """
        call_id, journal = call.call_id, self._services.journal
        try:
            rows = await self._reader.rows(call_id)
            rows = [*rows, *write_decisions(call, rows, journal, undecided)]
            end_without_core(call, rows, journal, ended)
            await journal.flush(call_id)
        except OwnershipLost:
            self._failed.pop(call_id, None)
            raise
        except Exception as error:
            self._failed[call_id] = self._failed.get(call_id, 0) + 1
            if isinstance(error, VoiceAgentError) and error.retryable and self._failed[call_id] < _ATTEMPTS:
                raise
            log.error("call.rows_unreadable", call_id=call_id, error=type(error).__name__, exc_info=True)
            ending = CallEnding(
                ended_at=_end_of(call, 0.0), duration_seconds=None, end_reason=ended.reason, fault=ended.fault
            )
            await self._services.calls.end_without_row(call_id, call.fence, ending)
            rows = []
        self._failed.pop(call_id, None)
        return rows

    def _count(self, call: CallRow, count: Callable[[frozenset[str]], None]) -> None:
        try:
            count(self._agent_tools())
        except Exception as error:  # noqa: BLE001 - the call has ended; what one of its rows holds harms no other call
            log.error("call.not_counted", call_id=call.call_id, error=type(error).__name__)

    def _count_crashed(self, call: CallRow, rows: list[JournalRow]) -> None:
        metrics, is_outbound = self._services.metrics, call.direction == "outbound"
        self._count(call, lambda tools: metrics.journal.count(readable(rows), tools=tools, is_outbound=is_outbound))


def write_decisions(
    call: CallRow, rows: Sequence[JournalRow], journal: Journal, undecided: Sequence[ev.Event]
) -> list[JournalRow]:
    """Write the decisions whose rows the dead process could not write. Returns the rows."""
    seq, t = (rows[-1].seq, rows[-1].t) if rows else (0, 0.0)
    written = []
    for number, event in enumerate(undecided, seq + 1):
        turn = getattr(event, "turn", None)
        row = JournalRow(number, _end_of(call, t), t, event.type, turn, ev.VERSION, ev.row_data(event))
        journal.append(call.call_id, call.fence, row)
        written.append(row)
    return written


def end_without_core(call: CallRow, rows: list[JournalRow], journal: Journal, ended: ev.CallEnded) -> None:
    """Write the terminal row with the time of the last row that can be read, or of the call's beginning."""
    seq = rows[-1].seq + 1 if rows else 1
    t = max((row.t for row in readable(rows)), default=0.0)
    at = _end_of(call, t)
    row = JournalRow(seq, at, t, ended.type, None, ev.VERSION, ev.row_data(ended))
    record = call_record([*rows, row])
    ending = CallEnding(
        ended_at=at,
        duration_seconds=record.duration_seconds,
        end_reason=ended.reason,
        fault=ended.fault,
        language=record.language,
        summary=record.summary(),
        said=record.said(),
        is_analysed=wants_analysis(rows),
        answers=record.answers(),
    )
    journal.append(call.call_id, call.fence, row, ending)


def _end_of(call: CallRow, seconds: float) -> str:
    """The time of day that many seconds after the call's beginning; now, if its beginning cannot be read."""
    try:
        return iso_after(call.created_at, seconds)
    except (TypeError, ValueError, OverflowError):
        return iso_utc(utc_now())
