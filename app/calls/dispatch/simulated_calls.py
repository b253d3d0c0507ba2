"""Calls by a simulated caller, which an operator orders to hear an agent at work."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from app.calls.dispatch.media_sessions import MediaSessions
from app.clients.simulated_caller import ScoreChoice, SimulatedCallerProgram
from app.contained_tasks import ContainedTasks
from app.errors import InvalidRequest, SimulatedCallFailed, SimulatedCallLimit

log = structlog.get_logger(__name__)

SIMULATED_CALLS_MAX = 3
"""At once in one process. Each caller is a process of its own, which takes about a tenth of a core."""
_BEGINS_SECONDS = 30.0
_CALLER = "simulated"
"""What the record has in place of the caller's number."""


class SimulatedCalls:
    """Orders calls, a few at a time. They are marked as those are that the service places to check itself."""

    def __init__(
        self,
        sessions: MediaSessions,
        background: ContainedTasks,
        program: SimulatedCallerProgram | None = None,
        *,
        limit: int = SIMULATED_CALLS_MAX,
    ) -> None:
        self.limit = limit
        self._sessions = sessions
        self._background = background
        self._program = program or SimulatedCallerProgram()
        self._live = 0

    async def scores(self) -> tuple[ScoreChoice, ...]:
        """What a simulated caller can do. Raises SimulatedCallFailed."""
        return await self._program.scores()

    async def place(
        self, score: str, *, door: str, sandbox: str | None, agent: str | None, variables: Mapping[str, Any]
    ) -> str:
        """Have a caller call, and return the id of the call once it has begun.

        ``door`` is the address below which the media websockets of this service are, and ``sandbox`` where the
        stand-ins take orders. Raises SimulatedCallLimit, InvalidRequest, SimulatedCallFailed, StorageError.
        """
        if self._live >= self.limit:
            raise SimulatedCallLimit(f"{self.limit} simulated calls are live on this process, which is the limit")
        self._live += 1
        begun = asyncio.get_running_loop().create_future()
        try:
            known = [each.name for each in await self.scores()]
            if score not in known:
                raise InvalidRequest(f"there is no such score: use one of {', '.join(known)}")
            told = {"score": score}
            session = await self._sessions.create(
                _CALLER, told, "all", agent=agent, variables=variables, is_synthetic=True
            )
        except BaseException:
            self._live -= 1
            raise
        url = f"{door}/{session.call_id}?token={session.token}"
        order = {"score": score, "call_id": session.call_id, "url": url, "sandbox": sandbox}
        work = self._background.start(self._hold(order, begun), name=f"{session.call_id}:simulated", kind="simulated")
        work.add_done_callback(lambda _task: self._ended(begun))
        try:
            async with asyncio.timeout(_BEGINS_SECONDS):
                await begun
        except TimeoutError as error:
            work.cancel()
            raise SimulatedCallFailed("the simulated caller did not call in time") from error
        return session.call_id

    async def _hold(self, order: Mapping[str, Any], begun: "asyncio.Future[None]") -> None:
        def note() -> None:
            if not begun.done():
                begun.set_result(None)

        try:
            await self._program.call(order, note)
        except SimulatedCallFailed as error:
            if begun.done():
                log.warning("simulated_call.failed", call_id=order["call_id"], reason=str(error))
            else:
                begun.set_exception(error)

    def _ended(self, begun: "asyncio.Future[None]") -> None:
        self._live -= 1
        if not begun.done():
            begun.set_exception(SimulatedCallFailed("the simulated caller ended before it called"))
