"""Decides what becomes of a call whose process has died: another process goes on with it, or it ends.

====================================================  =================================================================
the journal says                                      the call
====================================================  =================================================================
the core had decided the end                          ends for that reason
it was answered, or a caller's telephone rings        goes on, when something here can reach its caller
a telephone that we call is still ringing             ends as ``crashed``: nobody knows whether it was answered
nothing that a core could go on with                  ends as ``crashed``
it was taken over several times within seconds        ends as ``crashed``: it may be what kills the processes
====================================================  =================================================================
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from app.conversation import events as ev
from app.conversation.phases import CallPhase
from app.journal.revival import NotRevivable, Revival, Revivor
from app.models import JournalRow
from app.storage.calls import CallRow, Kind

log = structlog.get_logger(__name__)

_TAKE_OVERS_MAX = 3
_WITHIN_SECONDS = 30.0
_ROWS_AT_ONCE = 100
"""A row takes some 30 µs."""

GoOn = Callable[[CallRow, Revival], bool]
"""Goes on with a call; never waits. False when that is not possible."""


class Heirs:
    """Finds out what can go on with a call. A part of the service that reaches callers adds itself to :attr:`of`."""

    def __init__(self) -> None:
        self.of: dict[Kind, GoOn] = {}
        """What goes on with calls of a kind."""

    async def read(self, call: CallRow, rows: Sequence[JournalRow]) -> Revival | None:
        """The call as it was; None if it cannot go on. A long journal is read in pieces, so that others go on."""
        try:
            revivor = Revivor(rows)
            while revivor.run(_ROWS_AT_ONCE):  # noqa: ASYNC110 - others get their turn
                await asyncio.sleep(0)
            revival = revivor.result()
        except NotRevivable as error:
            log.warning("call.not_revived", call_id=call.call_id, reason=str(error))
            return None
        return revival if revival.ending is not None or _may_go_on(call, revival) else None

    def go_on(self, call: CallRow, revival: Revival) -> bool:
        """Go on with the call, if something here can."""
        go_on = self.of.get(call.kind)
        return go_on is not None and go_on(call, revival)


def _may_go_on(call: CallRow, revival: Revival) -> bool:
    taken = [row for row in revival.rows if row.type == ev.CallTakenOver.type]
    if len([row for row in taken if row.t > revival.t - _WITHIN_SECONDS]) >= _TAKE_OVERS_MAX:
        log.error("call.not_revived", call_id=call.call_id, reason="taken over too often")
        return False
    rings = revival.core.phase is CallPhase.RINGING
    return revival.core.policy.speaks and not (rings and call.direction == "outbound")
