"""What operators ask of live calls: kept by whatever process is asked, carried out by the one that owns the call.

Task ledger.

``requests``  looks for what is asked of the calls of this process. Ends by cancellation.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from app.backoff import Backoff
from app.calls.dispatch.dispatcher import CallDispatcher
from app.clock import utc_now
from app.conversation import events as ev
from app.service_loops import ServiceLoops
from app.storage.requests import CallRequest, CallRequestStore

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.2
_LOOK_AGAIN = Backoff(first_seconds=0.2, max_seconds=1.0)
"""Somebody waits for what they asked."""

_FACTS: dict[str, tuple[Callable[..., ev.Event], tuple[str, ...]]] = {
    "hangup": (ev.HangupRequested, ()),
    "say": (ev.SayRequested, ("text",)),
    "transfer": (ev.TransferRequested, ("to",)),
}
"""What a kind of request is to the call, and the texts that its data must have: the fields of the event."""


class CallRequests:
    """Requests on their way to the calls: ``hangup`` ``{}``, ``say`` ``{"text"}``, ``transfer`` ``{"to"}``.

    A new kind is a line in ``_FACTS`` and a door that asks for it.
    """

    def __init__(self, store: CallRequestStore, dispatcher: CallDispatcher, *, owner: str, loops: ServiceLoops) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._owner = owner
        self._asked_here = asyncio.Event()
        self._loop = loops.keep("requests", self._look, backoff=_LOOK_AGAIN)

    async def ask(self, call_id: str, kind: str, **data: Any) -> None:
        """Return once the request is safe; what becomes of it is told by the journal of the call.

        Raises CallNotFound, CallAlreadyEnded, StorageError.
        """
        await self._store.add(CallRequest(call_id, kind, data), utc_now())
        self._asked_here.set()

    def stop(self) -> None:
        """Look no more; the calls have been drained."""
        self._loop.cancel()

    async def _look(self) -> None:
        """Wait until something may have been asked, and carry it out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._asked_here.wait()
        self._asked_here.clear()
        if self._dispatcher.live_calls:
            for request in await self._store.take(self._owner, utc_now()):
                self._carry_out(request)

    def _carry_out(self, request: CallRequest) -> None:
        """What this version does not know of it is left out: a newer one, running beside it, may have written it."""
        known = _FACTS.get(request.kind)
        if known is None:
            log.warning("request.unknown", call_id=request.call_id, kind=request.kind)
            return
        fact, names = known
        values = {name: value for name in names if isinstance(value := request.data.get(name), str) and value.strip()}
        if len(values) < len(names):
            log.warning("request.unreadable", call_id=request.call_id, kind=request.kind)
            return
        self._dispatcher.emit(request.call_id, fact(**values))
