"""A telephone that is dialled from a room: it rings, is answered or not, and plays its score."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from sandbox.caller.caller import Caller
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.carrier.carrier import Carrier, new_call_id
from sandbox.carrier.sip_outcomes import REMOVED, Destination, TwirpError
from sandbox.carrier.sip_requests import Dial
from sandbox.carrier.telephone_line import TelephoneLine

_HEARS_SECONDS = 5.0


class CalledTelephone:
    """One outbound call, from ``join`` to the end of ``run``; it always leaves the room."""

    def __init__(self, carrier: Carrier, caller: Caller, dial: Dial, destination: Destination) -> None:
        self.dial = dial
        self.call_id = new_call_id()
        """LiveKit's id of the SIP call."""
        self.line: TelephoneLine | None = None
        self.settled = asyncio.Event()
        """Set once the call has been answered, or it is certain that it will not be."""
        self.error: TwirpError | None = None
        """Why the call was not answered."""
        self.report: CallReport | None = None
        """The report of whoever answered, once the call is over."""
        self.failure: str | None = None
        """Why the call did not follow its score."""
        self._carrier, self._caller, self._destination = carrier, caller, destination
        self._in_room = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<CalledTelephone {self.dial.identity} in {self.dial.room}: {self.state}>"

    @property
    def state(self) -> str:
        """``dialing``, ``active``, ``ended`` or ``not_answered``."""
        if self.error is not None:
            return "not_answered"
        if self.line is not None and self.line.is_over:
            return "ended"
        return "active" if self.settled.is_set() else "dialing"

    def described(self) -> dict[str, Any]:
        """The call as JSON, for the control interface."""
        return {
            "number": self.dial.number,
            "room": self.dial.room,
            "identity": self.dial.identity,
            "sip_call_id": self.call_id,
            "state": self.state,
            "digits": self.line.digits if self.line is not None else "",
            "failure": self.failure,
        }

    async def join(self) -> TelephoneLine:
        """Enter the room, not ringing yet."""
        asked = self.dial
        calling = self._carrier.called(asked.room, asked.identity, self.call_id, asked.attributes, asked.name)
        self.line = await self._in_room.enter_async_context(calling)
        return self.line

    async def run(self, line: TelephoneLine) -> None:
        """Ring, then play the score if the call is answered."""
        async with self._in_room:
            try:
                if await self._is_answered(line):
                    await self._play(line)
            finally:
                self.settled.set()

    async def _is_answered(self, line: TelephoneLine) -> bool:
        await line.set_status("ringing")
        seconds, error, reason = self._destination.ends(self.dial.ringing_seconds)
        if await line.over_within(seconds):
            self.error = REMOVED
        elif error is not None:
            self.error = error
            await line.leave(f"not answered: {error.message}", reason)
        return self.error is None

    async def _play(self, line: TelephoneLine) -> None:
        @asynccontextmanager
        async def picked_up() -> AsyncIterator[TelephoneLine]:
            await line.answer()
            self.settled.set()
            await line.hears_somebody_within(_HEARS_SECONDS)
            yield line

        try:
            self.report = await self._caller.call_through(self._destination.score, picked_up)
        except CallFailed as failure:
            self.report, self.failure = failure.report, str(failure)
