"""Plays an apology to callers whose process died or who exceed a limit, then ends their room.

Task ledger. The work runs in the background; no call waits for it.

``<room>:apology``  plays the sentence, then ends the room. Ends after the sentence or at its deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.calls.agent.plan import CallPlanner
from app.calls.live.phrase_cache import PhraseCache
from app.calls.telephone.leftovers import Leftovers
from app.contained_tasks import ContainedTasks
from app.observability.tracebacks import describe
from app.storage.calls import CallRow
from media.errors import NotAnswered
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""Apologies played at the same time. Joining a room takes 0.1 s of CPU, and this process has calls of its own."""
_TURN_SECONDS_MAX = 1.5
"""How long a caller waits for one of these places. After that the room is ended without an apology."""
_APOLOGY_SECONDS_MAX = 15.0

Say = Callable[[str, str, bytes], Awaitable[None]]
"""Plays audio in a room as the agent of a call. Takes room name, call id, audio. Raises NotAnswered."""


class Apologies:
    """Lets go of calls that a dead process held. The sentence is a prepared phrase, so no vendor is needed."""

    def __init__(
        self,
        say: Say,
        audio_format: AudioFormat,
        *,
        planner: CallPlanner,
        phrases: PhraseCache,
        leftovers: Leftovers,
        background: ContainedTasks,
    ) -> None:
        """``say`` takes audio in ``audio_format``."""
        self._say, self._format = say, audio_format
        self._planner, self._phrases = planner, phrases
        self._leftovers, self._background = leftovers, background
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def let_go(self, call: CallRow) -> None:
        """End the call's room; play the apology first if the call had been answered. Never waits."""
        if call.livekit_room is None:
            return
        if call.status == "active":
            self._begin(call, call.livekit_room)
        else:
            self._end(call, call.livekit_room)

    def refuse(self, call: CallRow) -> None:
        """Apologise to a caller who was not taken, then end their room. Never waits."""
        if call.livekit_room is not None:
            self._begin(call, call.livekit_room)

    def _begin(self, call: CallRow, room: str) -> None:
        self._background.start(self._apologise(call, room), name=f"{room}:apology", kind="apology")

    def end(self, call: CallRow) -> None:
        """End the room of a call that is over, without a word. Never waits."""
        if call.livekit_room is not None:
            self._end(call, call.livekit_room)

    def _end(self, call: CallRow, room: str) -> None:
        if call.room_sid is None:
            self._leftovers.end_room(room)
        else:
            self._leftovers.end_call(room, call.room_sid, call.sip_call_id)

    async def _apologise(self, call: CallRow, room: str) -> None:
        try:
            async with asyncio.timeout(_TURN_SECONDS_MAX):
                await self._turns.acquire()
        except TimeoutError:
            log.warning("caller.not_told", call_id=call.call_id, reason="too many callers at once")
        else:
            try:
                await self._play(call, room)
            finally:
                self._turns.release()
        self._end(call, room)

    async def _play(self, call: CallRow, room: str) -> None:
        """Play the apology. Raises nothing, so that the room is always ended afterwards."""
        agent = self._planner.agents().find(call.agent, None)
        plan = self._planner.plan(self._format, agent=agent, language_hint=call.language)
        text = plan.policy.lines[plan.language].failure_goodbye
        try:
            async with asyncio.timeout(_APOLOGY_SECONDS_MAX):
                phrase = await self._phrases.get(text, plan.voice(plan.language), plan.tts)
                if phrase is None:
                    log.warning("caller.not_told", call_id=call.call_id, reason="the sentence is not prepared")
                    return
                await self._say(room, call.call_id, phrase.audio)
        except NotAnswered as error:
            log.warning("caller.not_told", call_id=call.call_id, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the SDK raises many kinds of errors, and the room must still end
            log.error("caller.not_told", call_id=call.call_id, reason=describe(error))
        else:
            log.info("caller.told", call_id=call.call_id)
