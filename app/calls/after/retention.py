"""Erases what is older than it may be: recordings, words, and whole calls.

The age of a call counts from its end. What its agent said when it took the call decides, else the settings of now.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import structlog

from app.clock import lease_now, utc_now
from app.errors import CallNotFound, StorageError, VoiceAgentError
from app.models import Retention
from app.observability.retention_metrics import RetentionMetrics
from app.storage.calls import CallStore
from app.storage.retention import EndedCall, RetentionStore
from app.storage.service_jobs import ServiceJob

log = structlog.get_logger(__name__)

EVERY = timedelta(hours=1)
_LOOK_SECONDS = 60.0
_CALLS_AT_ONCE = 200
_LEASE_SECONDS = 300.0
_RENEW_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
"""After each transaction, so that the rows of live calls never wait for more than one."""
_PAUSE_TIMES = 9
"""How many times as long as the work before it a pause is at least: on a busy machine the sweep takes longer."""

Part = Literal["recording", "words", "call"]


class Eraser(Protocol):
    """Erases calls; implemented by :class:`app.calls.dispatch.erasure.CallEraser`."""

    async def erase_recording(self, call_id: str) -> None:
        """Remove the recording. Raises StorageError."""

    async def forget_unsaved(self, call_id: str) -> None:
        """Remove the last rows of the call that are kept outside the database. Raises StorageError."""

    async def erase_ended(self, call_id: str, *, by: Literal["request", "retention"]) -> None:
        """Erase everything. Raises CallStillLive, StorageError, CallNotFound."""


class _LeaseLost(Exception):
    """Another process sweeps."""


@dataclass(slots=True)
class _Swept:
    """What one sweep did."""

    recording: int = 0
    words: int = 0
    call: int = 0
    failed: int = 0


class RetentionSweep:
    """Sweeps every hour, in one process of all."""

    def __init__(
        self,
        job: ServiceJob,
        store: RetentionStore,
        calls: CallStore,
        eraser: Eraser,
        usual: Retention,
        metrics: RetentionMetrics,
        *,
        clock: Callable[[], datetime] = utc_now,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``usual`` is how long the settings keep calls."""
        self._job = job
        self._store = store
        self._calls = calls
        self._eraser = eraser
        self._usual = usual
        self._metrics = metrics
        self._clock = clock
        self._pause = pause
        self._lease = 0.0

    async def look(self) -> None:
        """One round: sweep if that is due, and wait."""
        await self.sweep_if_due()
        await self._pause(_LOOK_SECONDS)

    async def sweep_if_due(self) -> bool:
        """Sweep if an hour has passed since the last sweep of any process, and none sweeps now. Raises StorageError."""
        now = lease_now()
        if not await self._job.claim(self._clock(), lease_now=now, until=now + _LEASE_SECONDS):
            return False
        self._lease = now + _LEASE_SECONDS
        try:
            await self._sweep()
        except _LeaseLost:
            log.warning("retention.interrupted")
        else:
            await self._job.done(self._lease, self._clock())
        return True

    async def _sweep(self) -> None:
        swept, now = _Swept(), self._clock()
        after: EndedCall | None = None
        while True:
            due, after = await self._store.ended(self._usual, now, after=after, limit=_CALLS_AT_ONCE)
            for call in due:
                await self._erase(call, now, swept)
            await self._calls.empty_log()
            if after is None:
                break
            await self._keep_lease()
            await self._pause(_PAUSE_SECONDS)
        if swept != _Swept():
            log.info(
                "retention.swept", recordings=swept.recording, words=swept.words, calls=swept.call, failed=swept.failed
            )

    async def _erase(self, call: EndedCall, now: datetime, swept: _Swept) -> None:
        """Erase what is due of a call. One that cannot be erased now is left to the next sweep."""
        began = self._loop_time()
        try:
            if call.recording_is_due:
                await self._eraser.erase_recording(call.call_id)
                await self._store.recording_erased(call.call_id, now)
                self._count("recording", swept)
            if call.words_are_due:
                await self._erase_words(call.call_id, now)
                self._count("words", swept)
            if call.call_is_due:
                await self._eraser.erase_ended(call.call_id, by="retention")
                self._count("call", swept)
        except CallNotFound:
            pass  # somebody has just erased it
        except (VoiceAgentError, OSError) as error:
            swept.failed += 1
            self._metrics.failed()
            log.error("retention.failed", call_id=call.call_id, error=_reason(error))
        await self._keep_lease()
        await self._rest(began)

    async def _rest(self, began: float) -> None:
        """Pause after work that began at that time."""
        await self._pause(max(_PAUSE_SECONDS, _PAUSE_TIMES * (self._loop_time() - began)))

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    async def _erase_words(self, call_id: str, now: datetime) -> None:
        await self._eraser.forget_unsaved(call_id)
        while True:
            began = self._loop_time()
            is_done = await self._store.erase_words(call_id, now)
            self._calls.note_erased()
            if is_done:
                return
            await self._rest(began)

    def _count(self, part: Part, swept: _Swept) -> None:
        setattr(swept, part, getattr(swept, part) + 1)
        self._metrics.erased(part)

    async def _keep_lease(self) -> None:
        """Raises _LeaseLost if another process has taken the sweep over."""
        now = lease_now()
        if self._lease - now > _LEASE_SECONDS - _RENEW_SECONDS:
            return
        until = now + _LEASE_SECONDS
        if not await self._job.renew(self._lease, until):
            raise _LeaseLost
        self._lease = until


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, StorageError) else type(error).__name__
