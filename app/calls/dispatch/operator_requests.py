"""Operators' requests to live calls: any process stores them, and the owner of the call carries them out.

Task ledger.

``requests``  looks for requests to the calls of this process. Ends when it is cancelled.
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
_LOOK_WHEN_TOLD_SECONDS = 1.0
"""The same, while other processes tell of requests."""
_LOOK_AGAIN = Backoff(first_seconds=0.2, max_seconds=1.0)
"""Short, because an operator waits."""

_SAY = "say"
HAND_OVER = "hand_over"
"""Another process is to go on with the call: its client has come there."""
_EVENTS: dict[str, tuple[Callable[..., ev.Event], tuple[str, ...]]] = {
    "hangup": (ev.HangupRequested, ()),
    _SAY: (ev.SayRequested, ("text",)),
    "transfer": (ev.TransferRequested, ("to",)),
}
"""For each kind of request: its event, and the strings that its data must have, which are the event's fields."""


class CallRequests:
    """Takes requests to calls: ``hangup`` ``{}``, ``say`` ``{"text"}``, ``transfer`` ``{"to"}``.

    Of another process that is to go on with a call: ``hand_over`` ``{"fence"}``.

    A new kind is a line in ``_EVENTS`` and an endpoint that makes it.
    """

    def __init__(self, store: CallRequestStore, dispatcher: CallDispatcher, *, owner: str, loops: ServiceLoops) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._owner = owner
        self._asked_here = asyncio.Event()
        store.wakeups.heard["requests"].add(lambda _call_id: self._asked_here.set())
        self._loop = loops.keep("requests", self._look, backoff=_LOOK_AGAIN)

    async def ask(self, call_id: str, kind: str, **data: Any) -> None:
        """Store a request. The journal of the call shows its outcome.

        What is to be said in a call of this process that redacts is not stored. Raises CallNotFound, CallAlreadyEnded,
        StorageError.
        """
        if kind == _SAY and self._dispatcher.redacts(call_id):
            self._carry_out(CallRequest(call_id, kind, data))
            return
        await self._store.add(CallRequest(call_id, kind, data), utc_now())
        self._asked_here.set()

    def stop(self) -> None:
        """Stop looking. The calls have been drained before."""
        self._loop.cancel()

    async def _look(self) -> None:
        """One round: sleep until a request may wait, and carry out what waits."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._store.wakeups.poll_seconds(_LOOK_SECONDS, _LOOK_WHEN_TOLD_SECONDS)):
                await self._asked_here.wait()
        self._asked_here.clear()
        if self._dispatcher.live_calls:
            for request in await self._store.take(self._owner, utc_now()):
                self._carry_out(request)

    def _carry_out(self, request: CallRequest) -> None:
        """Emit the event of a request. Ignores what this version does not know: a newer one may have written it."""
        if request.kind == HAND_OVER:
            self._dispatcher.hand_over(request.call_id, request.data.get("fence"))
            return
        known = _EVENTS.get(request.kind)
        if known is None:
            log.warning("request.unknown", call_id=request.call_id, kind=request.kind)
            return
        event, names = known
        values = {name: value for name in names if isinstance(value := request.data.get(name), str) and value.strip()}
        if len(values) < len(names):
            log.warning("request.unreadable", call_id=request.call_id, kind=request.kind)
            return
        self._dispatcher.emit(request.call_id, event(**values))
