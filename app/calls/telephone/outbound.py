"""Outbound calls: makes a room for a call that this process has claimed, and dials the telephone into it.

Task ledger. :mod:`app.service_loops` runs it.

``<call>:room``  carries one call, from its claim to the end of its room. Ends with the call.
"""

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.telephone.dialer import SipDialer
from app.calls.telephone.inbound import MakeLeg
from app.clients.livekit.api import LiveKitClient
from app.conversation import events as ev
from app.errors import AdmissionError, CallRejected, DialFailed, OwnershipLost, ProviderError, StorageError
from app.ports.services import Telephony
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow, CallStore
from media.errors import NotAnswered

log = structlog.get_logger(__name__)

_STOPPING = ev.CallEnded("shutdown", "ours", "never dialled: the service was stopping")
_EMPTY_SECONDS = 120
"""How long LiveKit keeps the room while the telephone has not come into it."""


class OutboundCalls:
    """The outbound calls of this process."""

    def __init__(
        self,
        *,
        dispatcher: CallDispatcher,
        livekit: LiveKitClient,
        calls: CallStore,
        make_leg: MakeLeg,
        end_room: Callable[[str], None],
        make_telephony: Callable[[str, str], Telephony],
        dialer: SipDialer,
        ring_seconds: int,
        loops: ServiceLoops,
    ) -> None:
        self._dispatcher = dispatcher
        self._livekit = livekit
        self._calls = calls
        self._make_leg = make_leg
        self._end_room = end_room
        self._make_telephony = make_telephony
        self._dialer = dialer
        self._ring_seconds = ring_seconds
        self._loops = loops

    def take(self, row: CallRow) -> None:
        """Place a call that this process has claimed. Never waits."""
        self._loops.spawn(self._serve(row), name=f"{row.call_id}:room", kind="room")

    async def _serve(self, row: CallRow) -> None:
        room, identity = row.livekit_room or "", f"called-{row.call_id}"
        telephone = _Telephone(row, identity, self._livekit, self._calls, self._dialer, self._ring_seconds)
        leg = self._make_leg(room, identity, row.call_id, lambda: self._end_room(room), telephone)
        try:
            orchestrator = await self._dispatcher.start_placed(row, leg, telephony=self._make_telephony(room, identity))
        except CallRejected as unwanted:
            ended = ev.CallEnded("rejected_policy", "policy", f"never dialled: {unwanted}")
            await self._give_up(row, ended, unwanted.row)
            return
        except AdmissionError:
            await self._give_up(row, _STOPPING)
            return
        await orchestrator.carry(leg.run(orchestrator))

    async def _give_up(self, row: CallRow, ended: ev.CallEnded, looked_up: Mapping[str, Any] | None = None) -> None:
        try:
            await self._dispatcher.end_unstarted(row, ended, looked_up=looked_up)
        except (StorageError, OwnershipLost) as error:
            log.error("call.not_ended", call_id=row.call_id, code=error.code)


class _Telephone:
    """The telephone of one call. Implements :class:`media.legs.room.Dialling`."""

    def __init__(
        self,
        row: CallRow,
        identity: str,
        livekit: LiveKitClient,
        calls: CallStore,
        dialer: SipDialer,
        ring_seconds: int,
    ) -> None:
        self._row, self._identity, self._room = row, identity, row.livekit_room or ""
        self._livekit, self._calls = livekit, calls
        self._dialer, self._ring_seconds = dialer, ring_seconds

    async def open_room(self) -> None:
        try:
            room = await self._livekit.create_room(self._room, empty_seconds=_EMPTY_SECONDS)
        except ProviderError as error:
            raise NotAnswered("carrier_error", str(error)) from error
        await self._note(room_sid=room.sid)

    async def ring(self) -> None:
        try:
            sip_call_id = await self._dialer.call(
                self._row.called_number or "",
                room=self._room,
                identity=self._identity,
                leg="outbound",
                ring_seconds=self._ring_seconds,
            )
        except DialFailed as error:
            raise NotAnswered(error.reason, error.detail) from error
        await self._note(sip_call_id=sip_call_id)

    async def _note(self, *, room_sid: str | None = None, sip_call_id: str | None = None) -> None:
        """Store the ids for the record and the reconciler. The call goes on when this fails."""
        try:
            await self._calls.note_telephone(
                self._row.call_id, self._row.fence, room_sid=room_sid, sip_call_id=sip_call_id
            )
        except StorageError as error:
            log.error("call.telephone_not_noted", call_id=self._row.call_id, code=error.code)
