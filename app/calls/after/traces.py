"""Sends the trace of each call that has ended, from its journal. No call waits for it or notices that it fails."""

import asyncio
from contextlib import suppress
from functools import partial

import structlog

from app.clients.traces import NotExported, TraceExporter
from app.errors import StorageError
from app.journal.spans import call_trace
from app.observability.outages import Outage
from app.observability.trace_metrics import TraceMetrics
from app.ports.services import JournalReader

log = structlog.get_logger(__name__)

_WAITING_MAX = 1000
"""Calls; only their ids are kept."""
_STOP_SECONDS = 2.0


class CallTraces:
    """The calls whose traces wait to be sent by this process, which has written their last row.

    A trace is tried once: the exporter repeats requests for some seconds. When too many calls wait, new ones are left
    out.
    """

    def __init__(
        self,
        reader: JournalReader,
        exporter: TraceExporter,
        metrics: TraceMetrics,
        *,
        waiting_max: int = _WAITING_MAX,
        stop_seconds: float = _STOP_SECONDS,
    ) -> None:
        self._reader = reader
        self._exporter = exporter
        self._metrics = metrics
        self._waiting: asyncio.Queue[str] = asyncio.Queue(waiting_max)
        self._stop_seconds = stop_seconds
        self._is_over = False
        self._outage = Outage("traces.not_exported", "traces.exported", level="warning")

    def __repr__(self) -> str:
        return f"<CallTraces {self._waiting.qsize()} waiting>"

    def ended(self, call_id: str) -> None:
        """Have the trace of a call sent whose last row is committed. Never waits."""
        if not self._exporter.is_sampled(call_id):
            return
        if self._is_over:
            self._metrics.ended("stopped")
            return
        try:
            self._waiting.put_nowait(call_id)
        except asyncio.QueueFull:
            self._metrics.ended("overflow")

    async def look(self) -> None:
        """One round: wait for a call, and send its trace. Raises StorageError when its rows cannot be read."""
        await self._send(await self._waiting.get())

    async def stop(self) -> None:
        """Send what waits, for two seconds at most; the rest is lost. The loop must have ended."""
        self._is_over = True
        with suppress(TimeoutError, StorageError):
            async with asyncio.timeout(self._stop_seconds):
                while not self._waiting.empty():
                    await self._send(self._waiting.get_nowait())
        self._exporter.close()
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._metrics.ended("stopped")

    async def _send(self, call_id: str) -> None:
        rows = await self._reader.rows(call_id)
        try:
            await self._exporter.export(call_id, partial(call_trace, call_id, rows))
        except NotExported as error:
            self._metrics.ended("refused", dropped=error.dropped)
            self._outage.failed(error)
        except asyncio.CancelledError:
            self._metrics.ended("stopped")
            raise
        else:
            self._metrics.ended("exported")
            self._outage.over()
