"""A client that lost its websocket goes on with its call over another one.

======================  =============================================================================================
the call is             then
======================  =============================================================================================
of this process         its leg gets the new socket, and nothing else changes
of a living process     that one is asked to let go of it, and this one takes it over from the journal
of a dead process       this one takes it over from the journal
======================  =============================================================================================
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable

import structlog

from app.calls.dispatch.dispatcher import CallDispatcher
from app.calls.dispatch.leases import LEASE_SECONDS
from app.calls.dispatch.operator_requests import HAND_OVER
from app.calls.live.session import CallOrchestrator
from app.clock import lease_now, utc_now
from app.errors import StorageError, TokenInvalid
from app.ports.services import JournalReader
from app.storage.calls import CallRow
from app.storage.requests import CallRequest, CallRequestStore
from app.storage.resumptions import ResumptionStore
from media.legs.resumable import RESUME_SECONDS, ResumableLeg
from media.legs.websocket import WebSocketLeg

log = structlog.get_logger(__name__)

_PREFIX = "resume."
_WHOLE = _PREFIX + "all."
"""Of a token whose client may see the whole journal."""
_LOOK_SECONDS = 0.05


def resumes(token: str) -> bool:
    """Whether a token is one of a resumption."""
    return token.startswith(_PREFIX)


def shows_all_events(token: str) -> bool:
    """Whether the client with that token may see the whole journal."""
    return token.startswith(_WHOLE)


class Resumptions:
    """Issues the tokens, and finds the calls that they resume."""

    def __init__(
        self,
        store: ResumptionStore,
        requests: CallRequestStore,
        dispatcher: CallDispatcher,
        reader: JournalReader,
        *,
        owner: str,
        clock: Callable[[], float] = lease_now,
    ) -> None:
        self._store = store
        self._requests = requests
        self._dispatcher = dispatcher
        self._reader = reader
        self._owner = owner
        self._clock = clock
        self._legs: dict[str, ResumableLeg] = {}

    def leg(
        self, socket: WebSocketLeg, call_id: str, *, shows_all: bool, fence: int = 1, used: str | None = None
    ) -> ResumableLeg:
        """The leg of a call whose client can come back; ``shows_all``: it may see the whole journal.

        ``used`` is the token with which it has come back to another process.
        """

        async def new_token(used: str | None) -> str | None:
            token = (_WHOLE if shows_all else _PREFIX) + secrets.token_urlsafe(32)
            try:
                await self._store.note(call_id, fence, " ".join(map(_hash, filter(None, (token, used)))))
            except StorageError as error:
                log.warning("call.not_resumable", call_id=call_id, code=error.code)
                return None
            return token

        return ResumableLeg(socket, call_id, new_token=new_token, used=used)

    async def carry(self, leg: ResumableLeg, call_id: str, orchestrator: CallOrchestrator) -> None:
        """Run the leg of a call; meanwhile its client can come back to this process."""
        self._legs[call_id] = leg
        try:
            await orchestrator.carry(leg.run(orchestrator))
        finally:
            self._legs.pop(call_id, None)

    async def find(self, call_id: str, token: str) -> CallRow:
        """The call that a token resumes. Raises TokenInvalid, StorageError."""
        return await self._store.find(call_id, _hash(token))

    async def resume(self, call: CallRow, token: str, socket: WebSocketLeg) -> None:
        """Go on with the call over the socket; returns when the socket is closed. Raises TokenInvalid, StorageError."""
        leg = self._legs.get(call.call_id)
        if leg is not None:
            if leg.audio_format != socket.audio_format:
                raise TokenInvalid("a call is resumed in the format in which it began")
            await leg.resume(socket, token)
            log.info("call.resumed", call_id=call.call_id)
            await socket.wait_closed()
            return
        claimed = await self._claim(call, token)
        revival = await self._dispatcher.heirs.read(claimed, await self._reader.rows(call.call_id))
        if revival is None or revival.ending is not None or not self._dispatcher.expect(claimed):
            await self._dispatcher.end_dead(claimed, revival)
            raise TokenInvalid("the call cannot go on")
        shows_all = shows_all_events(token)
        leg = self.leg(socket, call.call_id, shows_all=shows_all, fence=claimed.fence, used=token)
        orchestrator = await self._dispatcher.take_over(claimed, leg, revival)
        if orchestrator is None:
            raise TokenInvalid("the call cannot go on")
        await self.carry(leg, call.call_id, orchestrator)

    async def _claim(self, call: CallRow, token: str) -> CallRow:
        """Ask the owner to let go, and take the call when it has, or is dead. Raises TokenInvalid, StorageError."""
        await self._requests.add(CallRequest(call.call_id, HAND_OVER, {"fence": call.fence}), utc_now())
        until = self._clock() + RESUME_SECONDS
        while (now := self._clock()) < until:
            row = await self._store.claim(call.call_id, _hash(token), self._owner, now=now, until=now + LEASE_SECONDS)
            if row is not None:
                return row
            await asyncio.sleep(_LOOK_SECONDS)
        raise TokenInvalid("the call is not free")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
