"""Inbound telephone calls: finds callers who wait in LiveKit rooms and answers each through a leg.

Task ledger. :mod:`app.service_loops` runs all of these.

``rooms.reconciler``  looks into the rooms every 3 s, because webhooks can get lost. Ends when it is cancelled.
``<call>:room``       carries one call, from the ring to its end.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import structlog

from app.backoff import Backoff
from app.calls.dispatch.dispatcher import UNWANTED, CallDispatcher
from app.calls.telephone.leftovers import Leftovers
from app.calls.telephone.sip_attributes import call_context
from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.clients.livekit.trunks import is_our_room
from app.clock import lease_now, parse_iso, utc_now
from app.errors import (
    AdmissionError,
    AtCapacity,
    CallRejected,
    CallTaken,
    OwnershipLost,
    ProviderError,
    ServicePaused,
    SpendingLimitReached,
    StorageError,
)
from app.models import CallContext, TelephoneCall
from app.ports.services import CallLeg, Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow, CallStore
from app.times import STANDARD_TIMES, ServiceTimes
from media.legs.leg import LegListener
from media.legs.room import Dialling

log = structlog.get_logger(__name__)

_LOOK_AGAIN = Backoff(first_seconds=0.5, max_seconds=5.0)
"""The waits after a failed look, on top of the usual ones."""
_STEADY_SECONDS = 30.0
"""A look that runs so long counts as recovered. Longer than one whose requests are all answered at their timeouts."""
_LAST_CALL_ENDS_SECONDS = 8.0
"""How long a caller waits for the previous call in the same room to end."""
_LAST_CALL_LOOK_SECONDS = 0.1
_MEETINGS_MAX = 3
"""How often a caller is answered whose calls lose the room. Then the room ends."""
_CONVERSATION = 2
"""The number of telephones that can still talk to each other after a transfer."""


class RoomCallLeg(CallLeg, Protocol):
    """A leg that runs as a task of the call."""

    async def run(self, caller: LegListener) -> None:
        """Carry the audio until the leg is closed."""


class MakeLeg(Protocol):
    """Makes the leg of a call in a room."""

    def __call__(
        self,
        room: str,
        caller: str,
        call_id: str,
        end_call: Callable[[], None],
        dialling: Dialling | None = None,
        sip_call_id: str | None = None,
    ) -> RoomCallLeg:
        """``caller`` is the identity of the other side's participant. ``dialling`` dials it, for an outbound call.

        ``sip_call_id`` is the SIP call that waits. A later call may have a participant with the same identity.
        """


class RoomCalls:
    """Answers, or refuses, every caller in a room with our prefix exactly once."""

    def __init__(
        self,
        *,
        dispatcher: CallDispatcher,
        livekit: LiveKitClient,
        calls: CallStore,
        make_leg: MakeLeg,
        leftovers: Leftovers,
        make_telephony: Callable[[str, str], Telephony],
        apologise: Callable[[CallRow], None],
        room_prefix: str,
        max_call_seconds: float,
        loops: ServiceLoops,
        times: ServiceTimes = STANDARD_TIMES,
    ) -> None:
        self._dispatcher = dispatcher
        self._livekit = livekit
        self._calls = calls
        self._make_leg = make_leg
        self._leftovers = leftovers
        self._make_telephony = make_telephony
        self._apologise = apologise
        self._prefix = room_prefix
        self._max_call_seconds = max_call_seconds
        self._loops = loops
        self._times = times
        self._handled: set[tuple[str, str]] = set()
        """The callers that this process is serving now: (room sid, SIP call id)."""
        self._reconciler = loops.keep(
            "rooms.reconciler", self._reconcile, part="livekit", backoff=_LOOK_AGAIN, steady_seconds=_STEADY_SECONDS
        )

    def __repr__(self) -> str:
        return f"<RoomCalls {len(self._handled)} callers>"

    def is_ours(self, caller: TelephoneCall) -> bool:
        """Whether the caller waits in a room for the agent."""
        return is_our_room(caller.room, self._prefix)

    def stop(self) -> None:
        """Stop looking into rooms. The calls have been drained before."""
        self._reconciler.cancel()

    def meet(self, caller: TelephoneCall) -> None:
        """Answer the caller, or refuse them. Does nothing for a caller who is already being served."""
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
        except (SpendingLimitReached, ServicePaused):
            await self._turn_away(caller, call)
            return
        except CallRejected as unwanted:
            await self._refuse(caller, call, "rejected_policy", UNWANTED, looked_up=unwanted.row)
            return
        except AdmissionError as error:
            await self._refuse(caller, call, "rejected_capacity" if isinstance(error, AtCapacity) else "shutdown")
            return
        except StorageError as error:
            log.error("caller.not_taken", code=error.code)  # the reconciler finds the caller again
            return
        await orchestrator.carry(leg.run(orchestrator))

    async def _is_free(self, caller: TelephoneCall, before: set[tuple[str, str]]) -> bool:
        """Wait until earlier calls in the room are over; return whether the caller then has the room alone.

        A caller who dials again can come into the room of their last call, even as the same participant, before that
        call has ended.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + _LAST_CALL_ENDS_SECONDS
        while self._handled & before or await self._is_in_use(caller):
            if clock() >= until or await self._is_shared(caller):
                return False
            await asyncio.sleep(_LAST_CALL_LOOK_SECONDS)
        return True

    async def _is_shared(self, caller: TelephoneCall) -> bool:
        """Whether another caller is in the room. False when LiveKit does not answer."""
        try:
            callers = await self._livekit.list_callers(RoomSeen(caller.room, caller.room_sid))
        except ProviderError:
            return False
        return any(other.sip_call_id != caller.sip_call_id for other in callers)

    async def _is_in_use(self, caller: TelephoneCall) -> bool:
        """Whether another call is live in the room. Two agents in one room would speak to each other's callers."""
        others = [call for call in await self._calls.of_room(caller.room_sid) if call.sip_call_id != caller.sip_call_id]
        return any(call.status != "ended" for call in others)

    async def _refuse(
        self,
        caller: TelephoneCall,
        call: CallContext,
        reason: str,
        detail: str | None = None,
        looked_up: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            await self._remove(caller)
            await self._dispatcher.record_refusal(call, reason, telephone=caller, detail=detail, looked_up=looked_up)
        except (ProviderError, StorageError, AdmissionError, OwnershipLost) as error:
            log.warning("caller.not_refused", code=error.code)

    async def _turn_away(self, caller: TelephoneCall, call: CallContext) -> None:
        """Record the refusal, and have an apology played to the caller, after which their room ends."""
        try:
            self._apologise(await self._dispatcher.record_refusal(call, "rejected_policy", telephone=caller))
        except (StorageError, AdmissionError, OwnershipLost) as error:
            log.warning("caller.not_refused", code=error.code)

    async def _remove(self, caller: TelephoneCall) -> None:
        """Hang up on the caller, but not on a later caller with the same identity."""
        callers = await self._livekit.list_callers(RoomSeen(caller.room, caller.room_sid))
        if any((one.identity, one.sip_call_id) == (caller.identity, caller.sip_call_id) for one in callers):
            await self._livekit.remove_participant(caller.room, caller.identity)

    async def _reconcile(self) -> None:
        """A round of the loop. It fails as a room in it fails, after all the others have been looked into."""
        await asyncio.sleep(self._times.room_look_seconds)
        failure: Exception | None = None
        for room in await self._livekit.list_rooms():
            if is_our_room(room.name, self._prefix):
                try:
                    await self._look_into(room)
                except Exception as error:  # noqa: BLE001 - raised below
                    failure = failure or error
        if failure is not None:
            raise failure

    async def _look_into(self, room: RoomSeen) -> None:
        """Answer callers whose webhook did not arrive, or whose call lost the room; end a room whose calls are over."""
        known = await self._calls.of_room(room.sid)
        if any(call.status != "ended" for call in known):
            return
        waiting = [caller for caller in await self._livekit.list_callers(room) if _waits_alone(caller, known)]
        was_met = {call.sip_call_id for call in known}
        if any(caller.sip_call_id in was_met for caller in waiting) and await self._livekit.has_agent(room):
            return  # they do not wait alone
        is_over = known and not waiting and await self._is_of_no_use(room, known)
        if not (waiting or is_over) or not await self._livekit.is_open(room):
            return  # these may be the callers of a newer room with the same name
        for caller in waiting:
            log.info("caller.found", room_sid=room.sid)
            self.meet(caller)
        if is_over:
            log.info("room.ended", room_sid=room.sid)
            await self._livekit.delete_room(room.name)

    async def _is_of_no_use(self, room: RoomSeen, ended: Collection[CallRow]) -> bool:
        """Whether nobody talks in the room: neither the agent nor, after a transfer, the caller and a human."""
        over = min(map(_seconds_over, ended))
        if any(call.end_reason == "transferred" for call in ended):
            return over > self._max_call_seconds or await self._livekit.count_telephones(room) < _CONVERSATION
        return over > self._times.room_left_open_seconds


def _waits_alone(caller: TelephoneCall, known: Collection[CallRow]) -> bool:
    """Whether nobody has answered the caller, or every call that did has lost the room."""
    calls = [call for call in known if call.sip_call_id == caller.sip_call_id]
    return len(calls) < _MEETINGS_MAX and all(call.end_reason == "media_lost" for call in calls)


def _seconds_over(call: CallRow) -> float:
    """How long the call has been over. Uses the wall clock only if the machine has rebooted since."""
    if call.over_since is not None:
        return lease_now() - call.over_since
    return (utc_now() - parse_iso(call.ended_at or call.started_at)).total_seconds()
