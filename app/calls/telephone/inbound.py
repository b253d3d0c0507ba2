"""Telephone calls: callers wait in rooms of LiveKit; each is found, answered through a leg, and let go.

Task ledger; all are run by :mod:`app.service_loops`.

``rooms.reconciler``  looks into the rooms each few seconds: webhooks may be lost. Ends by cancellation.
``<call>:room``       one caller, from the ring to the end of the call.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from app.backoff import Backoff
from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.telephone.leftovers import Leftovers
from app.calls.telephone.sip_attributes import call_context
from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.clients.livekit.trunks import is_our_room
from app.clock import lease_now, parse_iso, utc_now
from app.errors import AdmissionError, AtCapacity, CallTaken, OwnershipLost, ProviderError, StorageError
from app.models import CallContext, TelephoneCall
from app.ports.services import CallLeg, Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow, CallStore
from media.legs.room import Dialling
from media.legs.websocket import CallerSide

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 3.0
_LOOK_AGAIN = Backoff(first_seconds=0.5, max_seconds=5.0)
"""Beside the seconds between two looks."""
_STEADY_SECONDS = 30.0
"""Longer than a look may take whose requests are all answered late."""
_LEFT_OPEN_SECONDS = 10.0
"""A room is ended when its call has been over for so long: whoever should have ended it is gone."""
_LAST_CALL_ENDS_SECONDS = 8.0
"""How long a caller waits for the end of the call that was held in the room before."""
_LAST_CALL_LOOK_SECONDS = 0.1
_CONVERSATION = 2
"""Telephones."""


class RoomCallLeg(CallLeg, Protocol):
    """A leg that has to be run."""

    async def run(self, caller: CallerSide) -> None:
        """Carry the sound until the leg is closed."""


class MakeLeg(Protocol):
    """Makes the leg of a call."""

    def __call__(
        self,
        room: str,
        caller: str,
        call_id: str,
        end_call: Callable[[], None],
        dialling: Dialling | None = None,
        sip_call_id: str | None = None,
    ) -> RoomCallLeg:
        """``caller`` is the identity of the other side's participant, who is called with ``dialling``.

        ``sip_call_id`` is the id of the call that waits: a participant of the same identity may be of a later one.
        """


class RoomCalls:
    """Every caller in a room with the prefix is answered once, or refused once."""

    def __init__(
        self,
        *,
        dispatcher: CallDispatcher,
        livekit: LiveKitClient,
        calls: CallStore,
        make_leg: MakeLeg,
        leftovers: Leftovers,
        make_telephony: Callable[[str, str], Telephony],
        room_prefix: str,
        max_call_seconds: float,
        loops: ServiceLoops,
    ) -> None:
        self._dispatcher = dispatcher
        self._livekit = livekit
        self._calls = calls
        self._make_leg = make_leg
        self._leftovers = leftovers
        self._make_telephony = make_telephony
        self._prefix = room_prefix
        self._max_call_seconds = max_call_seconds
        self._loops = loops
        self._handled: set[tuple[str, str]] = set()
        """Callers this process is concerned with now."""
        self._reconciler = loops.keep(
            "rooms.reconciler", self._reconcile, part="livekit", backoff=_LOOK_AGAIN, steady_seconds=_STEADY_SECONDS
        )

    def __repr__(self) -> str:
        return f"<RoomCalls {len(self._handled)} callers>"

    def is_ours(self, caller: TelephoneCall) -> bool:
        """Whether the caller waits in a room for the agent."""
        return is_our_room(caller.room, self._prefix)

    def stop(self) -> None:
        """Look into no more rooms; the calls have been drained."""
        self._reconciler.cancel()

    def meet(self, caller: TelephoneCall) -> None:
        """Answer the caller, or refuse him; one who is met already is left alone."""
        identity = (caller.room_sid, caller.sip_call_id)
        if identity in self._handled:
            return
        before = {other for other in self._handled if other[0] == caller.room_sid}
        self._handled.add(identity)
        call_id = f"call_{secrets.token_hex(12)}"
        task = self._loops.spawn(self._serve(caller, call_id, before), name=f"{call_id}:room", kind="room")
        task.add_done_callback(lambda _task: self._handled.discard(identity))

    async def _serve(self, caller: TelephoneCall, call_id: str, before: set[tuple[str, str]]) -> None:
        call = call_context(caller, call_id)

        def end_call() -> None:
            self._leftovers.end_call(caller.room, caller.room_sid, caller.sip_call_id)

        try:
            if not await self._is_free(caller, before):
                await self._refuse(caller, call, "rejected_policy")
                return
            leg = self._make_leg(caller.room, caller.identity, call_id, end_call, sip_call_id=caller.sip_call_id)
            telephony = self._make_telephony(caller.room, caller.identity)
            orchestrator = await self._dispatcher.start(
                call, leg, direction="inbound", telephone=caller, telephony=telephony
            )
        except CallTaken:
            return
        except AdmissionError as error:
            await self._refuse(caller, call, "rejected_capacity" if isinstance(error, AtCapacity) else "shutdown")
            return
        except StorageError as error:
            log.error("caller.not_taken", code=error.code)  # the reconciler finds him again
            return
        await orchestrator.carry(leg.run(orchestrator))

    async def _is_free(self, caller: TelephoneCall, before: set[tuple[str, str]]) -> bool:
        """Whether the room is the caller's alone, once the calls of those who have left it are over.

        Who dials again may come into the room, even as the same participant, before their last call has ended.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + _LAST_CALL_ENDS_SECONDS
        while self._handled & before or await self._is_in_use(caller):
            if clock() >= until or await self._is_shared(caller):
                return False
            await asyncio.sleep(_LAST_CALL_LOOK_SECONDS)
        return True

    async def _is_shared(self, caller: TelephoneCall) -> bool:
        """Whether another caller is in the room; one who cannot be seen is not known to be."""
        try:
            callers = await self._livekit.list_callers(RoomSeen(caller.room, caller.room_sid))
        except ProviderError:
            return False
        return any(other.sip_call_id != caller.sip_call_id for other in callers)

    async def _is_in_use(self, caller: TelephoneCall) -> bool:
        """Whether another's call is held in the room: two agents in one room would speak to each other's callers."""
        others = [call for call in await self._calls.of_room(caller.room_sid) if call.sip_call_id != caller.sip_call_id]
        return any(call.status != "ended" for call in others)

    async def _refuse(self, caller: TelephoneCall, call: CallContext, reason: str) -> None:
        try:
            await self._remove(caller)
            await self._dispatcher.record_refusal(call, reason, telephone=caller)
        except (ProviderError, StorageError, AdmissionError, OwnershipLost) as error:
            log.warning("caller.not_refused", code=error.code)

    async def _remove(self, caller: TelephoneCall) -> None:
        """Hang up on the caller, and on nobody who has come since under the same identity."""
        callers = await self._livekit.list_callers(RoomSeen(caller.room, caller.room_sid))
        if any((one.identity, one.sip_call_id) == (caller.identity, caller.sip_call_id) for one in callers):
            await self._livekit.remove_participant(caller.room, caller.identity)

    async def _reconcile(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        for room in await self._livekit.list_rooms():
            if is_our_room(room.name, self._prefix):
                await self._look_into(room)

    async def _look_into(self, room: RoomSeen) -> None:
        """Meet a caller nobody told of; end a room whose calls are over."""
        known = {call.sip_call_id: call for call in await self._calls.of_room(room.sid)}
        if any(call.status != "ended" for call in known.values()):
            return
        waiting = [caller for caller in await self._livekit.list_callers(room) if caller.sip_call_id not in known]
        is_over = known and not waiting and await self._is_of_no_use(room, known.values())
        if not (waiting or is_over) or not await self._livekit.is_open(room):
            return  # or it has been replaced by another one of its name, whose callers these are
        for caller in waiting:
            log.info("caller.found", room_sid=room.sid)
            self.meet(caller)
        if is_over:
            log.info("room.ended", room_sid=room.sid)
            await self._livekit.delete_room(room.name)

    async def _is_of_no_use(self, room: RoomSeen, ended: Collection[CallRow]) -> bool:
        """Whether nobody talks in it: neither the agent nor, after a transfer, the caller and the human."""
        over = min(map(_seconds_over, ended))
        if any(call.end_reason == "transferred" for call in ended):
            return over > self._max_call_seconds or await self._livekit.count_telephones(room) < _CONVERSATION
        return over > _LEFT_OPEN_SECONDS


def _seconds_over(call: CallRow) -> float:
    """By the wall clock only when the machine has booted since the end of the call."""
    if call.over_since is not None:
        return lease_now() - call.over_since
    return (utc_now() - parse_iso(call.ended_at or call.started_at)).total_seconds()
