"""Reports the events of calls to the operator's endpoints, at least once each, and in order for each call.

Each endpoint has a loop of its own, so one that hangs holds up no other. All workers run these loops; a claim gives
each attempt to one of them (:mod:`app.storage.outbox`). A message shows the call as it is when it is sent, so one that
comes late says nothing that has changed since, and nothing that was erased.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

import structlog

from app.calls.agent.directory import AgentSet
from app.clients.traces import TraceHeaders, no_trace
from app.clients.webhook_sender import SendResult, WebhookEndpoint, WebhookSender
from app.clock import lease_now, parse_iso, utc_now
from app.errors import StorageError
from app.models import JournalRow, ServiceHealth
from app.observability.trace_ids import CALL
from app.observability.webhook_metrics import WebhookMetrics
from app.ports.services import JournalReader
from app.service_loops import LoopFinished, ServiceLoop, ServiceLoops
from app.storage.calls import CallRow, CallStore
from app.storage.disk_threads import on_disk
from app.storage.outbox import Backlog, Delivery, Outbox, Subscription

log = structlog.get_logger(__name__)

RETRY_SECONDS = tuple(
    timedelta(**wait).total_seconds()
    for wait in (
        {"seconds": 5}, {"minutes": 5}, {"minutes": 30}, {"hours": 2}, {"hours": 5}, {"hours": 10}, {"hours": 14},
        {"hours": 20}, {"hours": 24},
    )
)  # fmt: skip
"""The wait after each failed attempt. After the last of them the message is dead."""
_AT_ONCE = 4
"""Messages that an endpoint gets at the same time from one worker."""
_LOOK_SECONDS = 0.5
_LEASE_SECONDS = 20.0
"""Longer than an attempt and its two transactions take."""
_STALE = timedelta(minutes=5)
"""How old a message may be before the health says that it is late."""
_DAY = timedelta(days=1)


class ShowCall(Protocol):
    """Makes the ``data`` of a message: the call as ``GET /calls/{call_id}`` shows it. It may block."""

    def __call__(self, call: CallRow, rows: list[JournalRow], *, with_transcript: bool) -> dict[str, Any]:
        """A JSON object."""


class Webhooks:
    """Sends what the outbox holds. Its loops run until :meth:`stop`, or until their endpoint is gone."""

    def __init__(
        self,
        outbox: Outbox,
        sender: WebhookSender,
        calls: CallStore,
        reader: JournalReader,
        show_call: ShowCall,
        loops: ServiceLoops,
        metrics: WebhookMetrics,
        *,
        clock: Callable[[], datetime] = utc_now,
        traced: TraceHeaders = no_trace,
    ) -> None:
        self._traced = traced
        self._outbox = outbox
        self._sender = sender
        self._calls = calls
        self._reader = reader
        self._show_call = show_call
        self._loops = loops
        self._metrics = metrics
        self._clock = clock
        self._endpoints: dict[str, WebhookEndpoint] = {}
        self._running: dict[str, ServiceLoop] = {}
        self._wanted: list[WebhookEndpoint] = []
        self._changed = asyncio.Event()
        self._follower: ServiceLoop | None = None
        self.backlog = Backlog()
        """At the last check of the health."""

    @property
    def endpoints(self) -> dict[str, WebhookEndpoint]:
        """The endpoints by their ids."""
        return self._endpoints

    async def start(self, endpoints: Iterable[WebhookEndpoint]) -> None:
        """Set the endpoints up. Call it before the first call is taken. Raises StorageError."""
        self._wanted = list(endpoints)
        await self._set_up()
        self._follower = self._loops.keep("webhooks", self._follow_changes)

    def change(self, endpoints: Iterable[WebhookEndpoint]) -> None:
        """Have these endpoints in place of those before, soon."""
        self._wanted = list(endpoints)
        self._changed.set()

    async def stop(self) -> None:
        """Send nothing more. What waits is sent by another process, or after a restart."""
        for loop in [self._follower, *self._running.values()]:
            if loop is not None:
                await loop.stop()

    async def send_due(self, endpoint_id: str) -> int:
        """Send what is due to this endpoint now; returns how much that was. Raises StorageError."""
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            return 0
        now = lease_now()
        due = await self._outbox.claim(
            endpoint_id, self._clock(), lease_now=now, until=now + _LEASE_SECONDS, limit=_AT_ONCE
        )
        failed = await asyncio.gather(*(self._deliver(endpoint, each) for each in due), return_exceptions=True)
        for error in failed:
            if error is not None:
                raise error
        return len(due)

    async def health_check(self) -> ServiceHealth:
        """Degraded while messages are late, have died in the last day, or an endpoint has switched itself off."""
        now = self._clock()
        backlog = self.backlog = await self._outbox.backlog(now - _DAY)
        age = 0.0 if backlog.oldest is None else max(0.0, (now - parse_iso(backlog.oldest)).total_seconds())
        self._metrics.note_backlog(waiting=backlog.waiting, dead=backlog.dead, oldest_seconds=age)
        problems = [
            *([f"{backlog.died} messages were given up in the last day"] if backlog.died else []),
            *([f"{backlog.switched_off} endpoints answered 410 and are off"] if backlog.switched_off else []),
            *([f"the oldest message waits for {age:.0f} s"] if age > _STALE.total_seconds() else []),
        ]
        return ServiceHealth("webhooks", "degraded" if problems else "ok", detail="; ".join(problems) or None)

    async def _follow_changes(self) -> None:
        await self._changed.wait()
        self._changed.clear()
        try:
            await self._set_up()
        except BaseException:
            self._changed.set()  # the next round tries again
            raise

    async def _set_up(self) -> None:
        wanted = {endpoint.endpoint_id: endpoint for endpoint in self._wanted}
        await self._outbox.subscribe(
            Subscription(endpoint_id, endpoint.agent, frozenset(endpoint.events))
            for endpoint_id, endpoint in wanted.items()
        )
        for gone in self._endpoints.keys() - wanted.keys():
            self._loops.drop(self._running.pop(gone))
            self._sender.forget(gone)
        self._endpoints = wanted
        for endpoint_id in wanted.keys() - self._running.keys():
            self._running[endpoint_id] = self._loops.keep("webhooks", partial(self._look, endpoint_id))

    async def _look(self, endpoint_id: str) -> None:
        """One round of an endpoint's loop."""
        if endpoint_id not in self._endpoints:
            raise LoopFinished
        if not await self.send_due(endpoint_id):
            await asyncio.sleep(_LOOK_SECONDS)

    async def _deliver(self, endpoint: WebhookEndpoint, delivery: Delivery) -> None:
        """One attempt. Raises StorageError when its outcome cannot be stored: then it is made again."""
        try:
            body = await self._body(endpoint, delivery)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - one call that cannot be shown holds up no other
            log.error("webhook.not_made", call_id=delivery.call_id, type=delivery.event, error=type(error).__name__)
            result = SendResult(error="the message could not be made")
        else:
            if body is None:
                return  # the call was erased just now, and its deliveries with it
            headers = self._traced(delivery.call_id, CALL)
            result = await self._sender.send(endpoint, delivery.message_id, body, self._clock(), headers)
        await self._store(endpoint, delivery, result)

    async def _body(self, endpoint: WebhookEndpoint, delivery: Delivery) -> str | None:
        call = await self._calls.get(delivery.call_id)
        if call is None:
            return None
        rows = await self._reader.rows(delivery.call_id)
        data = await on_disk(self._show_call, call, rows, with_transcript=endpoint.has_transcript)
        message = {"type": delivery.event, "timestamp": delivery.happened_at, "data": data}
        return json.dumps(message, ensure_ascii=False, allow_nan=False)

    async def _store(self, endpoint: WebhookEndpoint, delivery: Delivery, result: SendResult) -> None:
        now = self._clock()
        if result.error is None and result.status is not None:
            await self._outbox.delivered(delivery, result.status, now)
            self._metrics.attempt_ended(delivery.event, "delivered")
            return
        error = result.error or ""
        outcome, about = "failed", {"call_id": delivery.call_id, "type": delivery.event, "error": error}
        if result.is_gone:
            await self._outbox.switch_off(delivery, error, result.status, now)
            outcome = "gone"
            log.error("webhook.endpoint_off", endpoint=delivery.endpoint_id)
        elif delivery.attempts >= len(RETRY_SECONDS):
            await self._outbox.failed(delivery, error, result.status, None)
            outcome = "dead"
            log.error("webhook.dead", **about)
        else:
            wait = max(RETRY_SECONDS[delivery.attempts], result.retry_after or 0.0)
            await self._outbox.failed(delivery, error, result.status, now + timedelta(seconds=wait))
            log.warning("webhook.failed", **about, retry_seconds=wait)
        self._metrics.attempt_ended(delivery.event, outcome)


def endpoints_of(settings_endpoint: WebhookEndpoint | None, agents: AgentSet) -> list[WebhookEndpoint]:
    """All endpoints that are set up."""
    of_agents = [endpoint for agent in agents.by_name.values() for endpoint in agent.webhooks]
    return [*([settings_endpoint] if settings_endpoint is not None else []), *of_agents]
