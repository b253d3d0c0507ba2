"""The agent's place in a LiveKit room: joins it, publishes the agent's track, and joins again when it is lost.

The SDK restores a connection by itself for a while (``reconnecting``, ``reconnected``). After ``disconnected`` its room
is dead, and a new one is needed; LiveKit then announces everybody anew.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from media.errors import NotAnswered
from media.legs.room_audio import RoomVoice

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 15.0
"""How long joining may take; the telephone rings meanwhile, and many calls at once make joining slow."""
AGAIN_SECONDS = 30.0
"""How long a room that cannot be joined is tried again."""
_REJOIN_SECONDS = 5.0
"""How long one attempt to join again may take."""
_LEAVE_SECONDS = 1.0
_MEASURED_SECONDS_MAX = 1.0
_ROUND_TRIP_SECONDS_MAX = 0.5


class RoomConnection:
    """One place in one room, through as many of the SDK's rooms as it takes."""

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str],
        voice: RoomVoice,
        name: str,
        follow: Callable[[rtc.Room], None],
        delay: Callable[[int], float],
    ) -> None:
        """``follow`` gets each new room before it is joined; ``delay`` is the wait after so many failures in a row."""
        self._url, self._token, self._voice, self._name = url, token, voice, name
        self._follow = follow
        self._delay = delay
        self.room = rtc.Room()
        """The room that counts; events of an earlier one mean nothing."""
        follow(self.room)

    async def enter(self, meet: Callable[[], None]) -> None:
        """Join, call ``meet``, then publish, which answers a telephone. A join that fails is tried again for 30 s.

        Raises NotAnswered, also for whatever ``meet`` raises.
        """
        await self._try(meet, CONNECT_SECONDS, asyncio.get_running_loop().time() + AGAIN_SECONDS)

    async def enter_again(self, until: float) -> None:
        """Join a room that was lost and publish, until that time of the loop's clock. Raises NotAnswered."""
        await self._renew()
        await self._try(lambda: None, _REJOIN_SECONDS, until)

    async def measure_round_trip(self) -> float:
        """The round trip to the server in seconds, from the ICE statistics; takes some milliseconds while it rings."""
        taken: list[float] = []
        with suppress(RuntimeError, TimeoutError):  # the room may be gone again
            async with asyncio.timeout(_MEASURED_SECONDS_MAX):
                stats = await self.room.get_rtc_stats()
            pairs = [each.candidate_pair.candidate_pair for each in stats.publisher_stats]
            taken = [pair.current_round_trip_time for pair in pairs if pair.nominated]
        return min(max(taken, default=0.0), _ROUND_TRIP_SECONDS_MAX)

    async def leave(self) -> None:
        """Leave the room."""
        await self.room.disconnect()

    async def _try(self, meet: Callable[[], None], seconds: float, until: float) -> None:
        clock, failures = asyncio.get_running_loop().time, 0
        while True:
            try:
                await self._join(meet, seconds)
            except (rtc.ConnectError, TimeoutError) as error:
                failures += 1
                wait = self._delay(failures)
                if clock() + wait >= until:
                    raise NotAnswered("media_lost", f"the room cannot be joined: {type(error).__name__}") from error
                log.warning("room.not_joined", call_id=self._name, error=type(error).__name__, attempt=failures)
                await asyncio.sleep(wait)
                await self._renew()
            except PublishTrackError as error:
                raise NotAnswered("media_lost", f"the room cannot be joined: {type(error).__name__}") from error
            else:
                return

    async def _join(self, meet: Callable[[], None], seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await self.room.connect(self._url, self._token(), rtc.RoomOptions(auto_subscribe=True))
        meet()
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        async with asyncio.timeout(seconds):
            await self.room.local_participant.publish_track(self._voice.track(), options)

    async def _renew(self) -> None:
        """Put a new room in the place of one that is dead, or half joined."""
        dead, self.room = self.room, rtc.Room()
        self._follow(self.room)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await dead.disconnect()
