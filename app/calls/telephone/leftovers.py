"""Cleans up after calls at LiveKit: ends rooms and hangs up telephones.

The caller's line does not wait for it. Each request is repeated until LiveKit has done it. A room is tried for two
minutes; the reconciler (``app/calls/telephone/inbound.py``) finds what is left after that, or after a restart. A human
who was called into a call that goes on is tried for an hour, because nobody else looks for them: the reconciler leaves
the room of a live call alone, and hangs up on them with the room.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.backoff import Backoff
from app.clients.livekit.api import LiveKitClient, RoomSeen
from app.contained_tasks import ContainedTasks
from app.errors import ProviderError

log = structlog.get_logger(__name__)

_ASKED_SECONDS = 120.0
_CALLED_OFF_SECONDS = 3600.0
_BACKOFF = Backoff(first_seconds=0.25, max_seconds=5.0)
_DIALS_AGAIN_SECONDS = 1.0
_MAY_STILL_RING_SECONDS = 30.0
"""How long after an unanswered dial request its telephone may still come into the room: as long as it may ring."""


class Leftovers:
    """Ends rooms and hangs up telephones, in background tasks ``<room>:end`` and ``<room>:call-off``."""

    def __init__(self, livekit: LiveKitClient, background: ContainedTasks) -> None:
        self._livekit = livekit
        self._background = background

    def end_room(self, room: str) -> None:
        """Hang up on everybody in the room. Only for a room whose name is never used again. Never waits."""
        self._background.start(self._until_asked(lambda: self._delete(room)), name=f"{room}:end", kind="leftover")

    def end_call(self, room: str, room_sid: str, sip_call_id: str | None) -> None:
        """Hang up on everybody in the room of a call that is over. Never waits.

        By the time LiveKit does it, another call may be live under the same room name. So a room that was opened later
        (another sid) stays open, and when another caller is in the room, only the caller of this call is removed.
        """
        room_seen = RoomSeen(room, room_sid)
        work = self._until_asked(lambda: self._end(room_seen, sip_call_id))
        self._background.start(work, name=f"{room}:end", kind="leftover")

    def call_off(self, room: str, identity: str, *, may_come: bool) -> None:
        """Stop that telephone from ringing, or hang it up. Never waits.

        With ``may_come`` LiveKit may not have dialled yet: a telephone that is not in the room is looked for again.
        """
        seconds = _MAY_STILL_RING_SECONDS if may_come else 0.0
        self._background.start(
            self._until_asked(
                lambda: self._livekit.remove_participant(room, identity),
                looks_seconds=seconds,
                asked_seconds=_CALLED_OFF_SECONDS,
            ),
            name=f"{room}:call-off",
            kind="leftover",
        )

    async def _end(self, room: RoomSeen, sip_call_id: str | None) -> bool:
        found = await self._livekit.room_named(room.name)
        if found is not None and not await self._livekit.count_telephones(found):
            # Nobody is left to hang up on. A caller who redials at once may come in just now: look again in a second.
            await asyncio.sleep(_DIALS_AGAIN_SECONDS)
            found = await self._livekit.room_named(room.name)
            if found is not None and not await self._livekit.count_telephones(found):
                # Also a room that our own leg has opened, by joining after the caller had gone.
                await self._livekit.delete_room(room.name)
                return True
        if found != room:
            return True
        callers = await self._livekit.list_callers(room)
        if all(caller.sip_call_id == sip_call_id for caller in callers):
            await self._livekit.delete_room(room.name)
            return True
        for caller in callers:
            if caller.sip_call_id == sip_call_id:
                await self._livekit.remove_participant(room.name, caller.identity)
        log.info("room.left_to_another_call", room_sid=room.sid)
        return True

    async def _delete(self, room: str) -> bool:
        await self._livekit.delete_room(room)
        return True

    async def _until_asked(
        self, ask: Callable[[], Awaitable[bool]], *, looks_seconds: float = 0.0, asked_seconds: float = _ASKED_SECONDS
    ) -> None:
        """Repeat ``ask`` until LiveKit has done it. ``ask`` returns whether there was anything to do.

        For ``looks_seconds`` "nothing to do" does not end it, because the work may still appear.
        """
        clock = asyncio.get_running_loop().time
        began, attempts = clock(), 0
        while clock() - began < asked_seconds:
            try:
                if await ask() or clock() - began >= looks_seconds:
                    return
            except ProviderError:
                pass  # the client has logged it
            attempts += 1
            await asyncio.sleep(_BACKOFF.delay(attempts))
        log.error("leftovers.abandoned", seconds=asked_seconds)
