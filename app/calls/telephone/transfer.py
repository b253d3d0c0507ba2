"""Transfers a caller to a human: by SIP REFER, or by dialling the human into the caller's room."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Literal

import structlog

from app.calls.telephone.dialer import SipDialer
from app.calls.telephone.leftovers import Leftovers
from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.errors import DialFailed, DialFailure, ProviderError, TransferFailed, TransferFailure
from app.ports.services import TransferMethod
from app.times import STANDARD_TIMES

log = structlog.get_logger(__name__)

_FAILURES: dict[DialFailure, TransferFailure] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "declined": "refused",
    "invalid_number": "refused",
    "carrier_error": "unavailable",
}
_OF_THE_HUMAN = ("busy", "no_answer")
"""The human's telephone rang. Dialling it again the other way does not help."""

_LEG: Literal["transfer"] = "transfer"
_LOOK_SECONDS = 0.5
"""The time between two looks for a human whom another process has dialled."""


class RoomTelephony:
    """One caller in one room. Implements :class:`app.ports.services.Telephony`."""

    def __init__(
        self,
        livekit: LiveKitClient,
        dialer: SipDialer,
        leftovers: Leftovers,
        *,
        room: str,
        caller: str,
        ring_seconds: int = STANDARD_TIMES.transfer_ring_seconds,
    ) -> None:
        """``caller`` is the identity of the caller's participant. The human's telephone rings for ``ring_seconds``."""
        self._livekit = livekit
        self._dialer = dialer
        self._leftovers = leftovers
        self._room = room
        self._caller = caller
        self._ring_seconds = ring_seconds

    async def transfer(self, to: str, on_dial: Callable[[], None]) -> TransferMethod:
        """Try SIP REFER first: it frees our line. Not every carrier supports it, so dial the human otherwise."""
        is_number = not to.startswith("sip:")
        try:
            await self._livekit.refer(
                self._room, self._caller, f"tel:{to}" if is_number else to, ring_seconds=self._ring_seconds
            )
        except DialFailed as error:
            if error.reason in _OF_THE_HUMAN or not is_number:
                raise TransferFailed(_FAILURES[error.reason]) from error
            log.info("transfer.not_referred", detail=error.detail)
        except ProviderError as error:
            raise TransferFailed("unavailable") from error
        else:
            return "refer"
        on_dial()
        await self._call_in(to)
        return "dialled"

    async def follow_dial(self) -> None:
        """Look for the human whom another process has dialled, until they have answered or are gone."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._ring_seconds
        while clock() < until:
            try:
                found = await self._livekit.dialled(RoomSeen(self._room, ""), _LEG)
            except ProviderError as error:
                raise TransferFailed("unavailable") from error
            if "active" in found:
                return
            if not found:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        raise TransferFailed("no_answer")

    async def _call_in(self, to: str) -> None:
        identity = f"human-{secrets.token_hex(4)}"
        try:
            await self._dialer.call(
                to,
                room=self._room,
                identity=identity,
                leg=_LEG,
                ring_seconds=self._ring_seconds,
                ringing_is_heard=True,
            )
        except DialFailed as error:
            # LiveKit may still carry out a request that it did not answer.
            self._leftovers.call_off(self._room, identity, may_come=isinstance(error.__cause__, ProviderError))
            raise TransferFailed(_FAILURES[error.reason]) from error
        except asyncio.CancelledError:
            self._leftovers.call_off(self._room, identity, may_come=True)
            raise
