"""Goes on with telephone calls whose process has died: joins their rooms in its place.

Task ledger. :mod:`app.service_loops` runs it.

``<call>:room``  carries one call, from its take-over to its end.
"""

import asyncio
from collections.abc import Callable

import structlog

from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.telephone.inbound import MakeLeg
from app.calls.telephone.leftovers import Leftovers
from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.errors import ProviderError
from app.journal.revival import Revival
from app.ports.services import Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow

log = structlog.get_logger(__name__)

_FIND_SECONDS = 15.0
"""How long LiveKit is asked for the caller while it does not answer."""
_LOOK_AGAIN_SECONDS = 0.5
_GONE = "gone"
"""Stands for the identity of a caller who is not in the room any more: the leg finds nobody, and ends the call."""


class RoomHeirs:
    """Joins as the same participant as the process that died, so that LiveKit lets go of that one if it still lives."""

    def __init__(
        self,
        *,
        dispatcher: CallDispatcher,
        livekit: LiveKitClient,
        make_leg: MakeLeg,
        leftovers: Leftovers,
        make_telephony: Callable[[str, str], Telephony],
        loops: ServiceLoops,
    ) -> None:
        self._dispatcher = dispatcher
        self._livekit = livekit
        self._make_leg = make_leg
        self._leftovers = leftovers
        self._make_telephony = make_telephony
        self._loops = loops
        dispatcher.heirs.of["room"] = self.go_on

    def go_on(self, call: CallRow, revival: Revival) -> bool:
        """Go on with a call of a dead process. Never waits."""
        room = call.livekit_room
        if room is None or not self._dispatcher.expect(call):
            return False
        self._loops.spawn(self._serve(call, room, revival), name=f"{call.call_id}:room", kind="room")
        return True

    async def _serve(self, call: CallRow, room: str, revival: Revival) -> None:
        try:
            caller = await self._find(call, room)
        except ProviderError as error:
            log.error("caller.not_found", call_id=call.call_id, code=error.code)
            await self._dispatcher.let_go(call)
            return

        def end_call() -> None:
            if call.direction == "outbound" or call.room_sid is None:
                self._leftovers.end_room(room)
            else:
                self._leftovers.end_call(room, call.room_sid, call.sip_call_id)

        sip_call_id = call.sip_call_id if call.direction == "inbound" else None
        leg = self._make_leg(room, caller, call.call_id, end_call, sip_call_id=sip_call_id)
        telephony = self._make_telephony(room, caller)
        orchestrator = await self._dispatcher.take_over(call, leg, revival, telephony=telephony)
        if orchestrator is not None:
            await orchestrator.carry(leg.run(orchestrator))

    async def _find(self, call: CallRow, room: str) -> str:
        """The identity of the caller's participant. Raises ProviderError."""
        if call.direction == "outbound":
            return f"called-{call.call_id}"
        clock = asyncio.get_running_loop().time
        until = clock() + _FIND_SECONDS
        while True:
            try:
                callers = await self._livekit.list_callers(RoomSeen(room, call.room_sid or ""))
            except ProviderError:
                if clock() >= until:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            else:
                return next((each.identity for each in callers if each.sip_call_id == call.sip_call_id), _GONE)
