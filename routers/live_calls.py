"""``GET /calls/live``: every call that lives, as it is now."""

import asyncio
from dataclasses import dataclass, field

from fastapi import APIRouter, Request

from app.clock import iso_utc, parse_iso, utc_now
from app.journal.live_call import LiveCall
from app.storage.call_lists import CallFilter
from app.storage.calls import LIVE, CallRow
from app.wiring import Services
from routers.auditing import WITH_KEY
from routers.dependencies import TheServices
from routers.live_schemas import LiveCall as ShownCall
from routers.live_schemas import LiveCalls, VendorTrouble

router = APIRouter(prefix="/calls", dependencies=WITH_KEY, tags=["calls"])

_CALLS_MAX = 500
"""Of each status. More live calls than that are counted, but not shown."""
_WORDS_SHOWN = 300


@dataclass
class LiveBoard:
    """The live calls of all processes. It reads each row once, however many people look, and only while they do."""

    _known: dict[str, LiveCall] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, services: Services) -> list[tuple[CallRow, LiveCall]]:
        """The live calls, oldest first. Raises StorageError."""
        async with self._reading:
            rows = [row for status in LIVE for row in (await self._list(services, status))]
            rows.sort(key=lambda row: (row.started_at, row.call_id))
            self._known = {row.call_id: self._known.get(row.call_id) or LiveCall() for row in rows}
            for call_id, call in self._known.items():
                call.take(await services.journal_reader.rows(call_id, call.seq))
            return [(row, self._known[row.call_id]) for row in rows if not self._known[row.call_id].has_ended]

    async def _list(self, services: Services, status: str) -> list[CallRow]:
        return (await services.calls.list(CallFilter(status=status), limit=_CALLS_MAX))[0]


@router.get("/live")
async def list_live_calls(services: TheServices, request: Request) -> LiveCalls:
    """List the calls that live now, on all workers, oldest first: who has the floor, the last words, what fails."""
    board: LiveBoard = request.app.state.live_board
    calls = await board.look(services)
    now = iso_utc(utc_now())
    return LiveCalls(calls=[_shown(row, call, now) for row, call in calls], at=now, places=services.settings.places)


def _shown(row: CallRow, call: LiveCall, now: str) -> ShownCall:
    seconds = (parse_iso(now) - parse_iso(row.answered_at or row.started_at)).total_seconds()
    cost, is_complete = call.cost(seconds if row.answered_at else 0.0)
    return ShownCall(
        call_id=row.call_id,
        direction=row.direction,
        status=row.status,
        caller_number=row.caller_number,
        called_number=row.called_number,
        agent=row.agent,
        synthetic=row.synthetic,
        started_at=row.started_at,
        answered_at=row.answered_at,
        seconds=round(max(0.0, seconds), 1),
        floor=call.floor,
        transfer_to=call.transfer_to,
        speaker=call.speaker,
        words=call.words[-_WORDS_SHOWN:],
        answer_seconds=call.answer_seconds,
        late_answers=call.late_answers,
        cost=cost,
        cost_is_complete=is_complete,
        trouble=[VendorTrouble(stage=stage, what=what) for stage, what in call.trouble.items()],
    )
