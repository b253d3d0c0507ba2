"""Dials telephones through LiveKit's outbound trunk."""

from typing import Literal

from app.clients.livekit.api import LiveKitClient
from app.clients.livekit.dial import Dial
from app.errors import DialFailed, ProviderError


class SipDialer:
    """Calls telephones into rooms. Each call makes one attempt."""

    def __init__(self, livekit: LiveKitClient, *, trunk_name: str, number: str | None, max_seconds: int) -> None:
        """``number`` is the caller id that we show; with None the trunk chooses it.

        LiveKit ends a call that lasts ``max_seconds``.
        """
        self._livekit = livekit
        self._trunk_name = trunk_name
        self._number = number
        self._max_seconds = max_seconds

    async def call(
        self,
        to: str,
        *,
        room: str,
        identity: str,
        leg: Literal["outbound", "transfer"],
        ring_seconds: int,
        ringing_is_heard: bool = False,
    ) -> str:
        """Call ``to`` and return its SIP call id when it is answered. Raises DialFailed and nothing else.

        Cancelling does not stop the ringing: after it, remove the participant or end the room.
        """
        try:
            trunk_id = await self._livekit.outbound_trunk(self._trunk_name)
            if trunk_id is None:
                what = f"LiveKit has no outbound trunk named {self._trunk_name}; voice-agent setup makes it"
                raise DialFailed("carrier_error", what)
            dial = Dial(
                trunk_id=trunk_id,
                to=to,
                number=self._number,
                room=room,
                identity=identity,
                leg=leg,
                ring_seconds=ring_seconds,
                max_seconds=self._max_seconds,
                ringing_is_heard=ringing_is_heard,
            )
            return await self._livekit.dial(dial)
        except ProviderError as error:
            raise DialFailed("carrier_error", str(error)) from error
