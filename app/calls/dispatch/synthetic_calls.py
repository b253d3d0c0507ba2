"""Calls the service itself every few minutes, so that somebody knows when callers are not answered.

Task ledger: loop ``synthetic``. It ends at shutdown, and a call that it holds then ends with it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import structlog

from app.calls.dispatch.media_sessions import MediaSessions
from app.clients.own_door import OwnCallFailed
from app.clock import utc_now
from app.errors import StorageError
from app.observability.synthetic_metrics import SyntheticMetrics
from app.storage.calls import CallStore

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0


class SyntheticCalls:
    """Of all workers, one holds the call of each interval: its id is made of the interval, and no id is taken twice.

    The call is a call like any other, and costs what one costs. It is marked, so that it is in no figures, no metrics
    of callers and no list unless it is asked for, and nobody is sent a webhook about it.
    """

    def __init__(
        self,
        sessions: MediaSessions,
        calls: CallStore,
        *,
        minutes: float,
        hold: Callable[[str, str], Awaitable[None]],
        may_call: Callable[[], bool],
        metrics: SyntheticMetrics,
    ) -> None:
        """``hold`` holds a call by its id and its token; it raises OwnCallFailed."""
        self._sessions = sessions
        self._calls = calls
        self._interval_seconds = minutes * 60
        self._hold = hold
        self._may_call = may_call
        self._metrics = metrics
        self._last: int | None = None

    async def look(self) -> None:
        """One round of the loop. Raises StorageError."""
        await asyncio.sleep(_LOOK_SECONDS)
        interval = int(utc_now().timestamp() // self._interval_seconds)
        if interval != self._last and self._may_call():
            await self.call_once(interval)
            self._last = interval

    async def call_once(self, interval: int) -> None:
        """Hold the call of an interval, unless another worker does. Raises StorageError."""
        call_id = f"call_{hashlib.sha256(f'{self._interval_seconds} {interval}'.encode()).hexdigest()[:24]}"
        if await self._calls.get(call_id) is not None:
            return
        try:
            session = await self._sessions.create(None, {}, call_id=call_id, is_synthetic=True)
        except StorageError as error:
            if error.retryable:
                raise
            return  # another worker was quicker
        try:
            await self._hold(call_id, session.token)
        except OwnCallFailed as error:
            log.warning("synthetic_call.failed", call_id=call_id, step=str(error))
            self._metrics.held(failed_at=str(error))
        else:
            self._metrics.held(failed_at=None)
