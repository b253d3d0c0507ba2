"""Callers whose process died hear a sentence before their room is ended, not a click.

Task ledger; it is background work, which no call waits for.

``<room>:apology``  says the sentence. Ends with it, or by its deadline; then the room is ended.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.calls.agent.profile import AgentProfile
from app.calls.live.background import BackgroundWork
from app.calls.live.phrase_cache import PhraseCache
from app.calls.telephone.leftovers import Leftovers
from app.observability.tracebacks import describe
from app.storage.calls import CallRow
from media.errors import NotAnswered
from media.formats import AudioFormat

log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""To join a room costs a core a tenth of a second, and this process has calls of its own."""
_TURN_SECONDS_MAX = 1.5
"""A caller for whom nobody has time by then has heard enough silence."""
_APOLOGY_SECONDS_MAX = 15.0

Say = Callable[[str, str, bytes], Awaitable[None]]
"""Says sound in a room, as the agent of a call: room, call id, sound. Raises NotAnswered."""


class Apologies:
    """For calls that a dead process held. The sentence is a prepared one: no vendor is asked."""

    def __init__(
        self,
        say: Say,
        audio_format: AudioFormat,
        *,
        agent: AgentProfile,
        phrases: PhraseCache,
        leftovers: Leftovers,
        background: BackgroundWork,
    ) -> None:
        """``say`` takes sound of the format."""
        self._say, self._format = say, audio_format
        self._agent, self._phrases = agent, phrases
        self._leftovers, self._background = leftovers, background
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def let_go(self, call: CallRow) -> None:
        """End the call's room, after a sentence when the call had been answered; never waits."""
        if call.livekit_room is None:
            return
        if call.status == "active":
            self._background.start(self._apologise(call, call.livekit_room), name=f"{call.livekit_room}:apology")
        else:
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
                await self._tell(call, room)
            finally:
                self._turns.release()
        self._end(call, room)

    async def _tell(self, call: CallRow, room: str) -> None:
        """Whatever goes wrong, the room is ended afterwards."""
        agent = self._agent.for_language(call.language)
        text = agent.policy.lines[agent.language].failure_goodbye
        try:
            async with asyncio.timeout(_APOLOGY_SECONDS_MAX):
                phrase = await self._phrases.get(text, agent.voice(agent.language, self._format))
                if phrase is None:
                    log.warning("caller.not_told", call_id=call.call_id, reason="the sentence is not prepared")
                    return
                await self._say(room, call.call_id, phrase.audio)
        except NotAnswered as error:
            log.warning("caller.not_told", call_id=call.call_id, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the SDK has errors of many kinds, and the caller waits
            log.error("caller.not_told", call_id=call.call_id, reason=describe(error))
        else:
            log.info("caller.told", call_id=call.call_id)
