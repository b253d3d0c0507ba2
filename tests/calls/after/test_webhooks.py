import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from app.calls.after.webhooks import RETRY_SECONDS, Webhooks
from app.clients.webhook_sender import WebhookEndpoint, WebhookSender
from app.clock import parse_iso, utc_now
from app.models import JournalRow
from app.observability.webhook_metrics import WebhookMetrics
from app.service_loops import ServiceLoops
from app.storage.calls import CallRow
from app.storage.outbox import Outbox
from tests.storage.stores import ENDING, START, Stores, a_call, last_row, open_stores
from tests.support.tool_endpoint import Asked, Says, tool_endpoint

SECRET = f"whsec_{base64.b64encode(bytes(32)).decode()}"
OK = Says(status=204)


def show(call: CallRow, rows: list[JournalRow], *, with_transcript: bool) -> dict[str, Any]:
    if call.call_id == "unreadable":
        raise ValueError("a bug")
    return {"call_id": call.call_id, "status": call.status, "rows": len(rows) if with_transcript else None}


@dataclass
class Clock:
    """The wall clock of the service, which a test sets."""

    now: datetime = field(default_factory=lambda: parse_iso(START) + timedelta(minutes=2))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class House:
    webhooks: Webhooks
    stores: Stores
    outbox: Outbox
    clock: Clock
    registry: CollectorRegistry
    loops: ServiceLoops

    async def statuses(self) -> list[tuple[str, str, int]]:
        found = reversed(await self.outbox.list(None, limit=100))
        return [(delivery.event, delivery.status, delivery.attempts) for delivery in found]

    def attempts(self, event: str, result: str) -> float:
        return self.registry.get_sample_value(
            "voice_webhook_attempts_total", {"event": event, "result": result}
        ) or 0.0  # fmt: skip


def to(url: str, **given: Any) -> WebhookEndpoint:
    return WebhookEndpoint(url, (SecretStr(SECRET),), **given)


@asynccontextmanager
async def house(tmp_path: Path, *endpoints: WebhookEndpoint, seconds: float = 5.0) -> AsyncIterator[House]:
    """Webhooks whose loops look only when the test has them look."""
    clock, registry = Clock(), CollectorRegistry()
    sender = WebhookSender(allow_private=True, https_only=False, seconds=seconds)
    async with open_stores(tmp_path) as stores, ServiceLoops() as loops:
        outbox = Outbox(stores.database)
        webhooks = Webhooks(
            outbox, sender, stores.calls, stores.reader, show, loops, WebhookMetrics(registry), clock=clock
        )
        await webhooks.start(endpoints)
        for loop in list(loops):
            if loop.name == "webhooks":
                loop.cancel()
                await loop.wait()
        yield House(webhooks, stores, outbox, clock, registry, loops)
    await sender.aclose()


async def a_whole_call(stores: Stores, call_id: str = "call-1", **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, **{"status": "ringing"} | columns))
    await stores.calls.mark_answered(call_id, 1, START)
    stores.journal.append(call_id, 1, last_row(1), ENDING)
    await stores.journal.flush(call_id)


def read(request: Asked) -> dict[str, Any]:
    headers = {**request.headers, "webhook-timestamp": str(int(utc_now().timestamp()))}
    assert set(headers) >= {"webhook-id", "webhook-signature"}
    message: dict[str, Any] = json.loads(request.body)
    return message


async def test_every_event_of_a_call_arrives_in_order_and_shows_the_call(tmp_path: Path) -> None:
    async with tool_endpoint(OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        [endpoint] = ours.webhooks.endpoints
        await a_whole_call(ours.stores)
        while await ours.webhooks.send_due(endpoint):
            pass
        messages = [read(request) for request in receiver.asked]

        assert [message["type"] for message in messages] == ["call.started", "call.answered", "call.ended"]
        assert messages[-1]["timestamp"] == ENDING.ended_at
        assert messages[-1]["data"] == {"call_id": "call-1", "status": "ended", "rows": None}
        assert {status for _, status, _ in await ours.statuses()} == {"delivered"}
        assert ours.attempts("call.ended", "delivered") == 1
        assert (await ours.webhooks.health_check()).status == "ok"


async def test_a_message_verifies_by_the_library_at_the_time_it_is_sent(tmp_path: Path) -> None:
    async with tool_endpoint(OK) as receiver, house(tmp_path, to(receiver.url, has_transcript=True)) as ours:
        ours.clock.now = utc_now()
        await ours.stores.calls.create(a_call())
        await ours.webhooks.send_due(*ours.webhooks.endpoints)
        [request] = receiver.asked

    assert Webhook(SECRET).verify(request.body, request.headers)["data"]["rows"] == 0


async def test_an_endpoint_that_is_down_for_an_hour_gets_everything_in_order(tmp_path: Path) -> None:
    async with tool_endpoint(*[Says(status=503)] * 4, OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        [endpoint] = ours.webhooks.endpoints
        await a_whole_call(ours.stores)
        began, came = ours.clock.now, []
        while waiting := await ours.outbox.list("pending", limit=9):
            assert (await ours.webhooks.health_check()).status == ("degraded" if len(came) > 2 else "ok")
            due = parse_iso(waiting[-1].due_at)
            if due > ours.clock.now:
                ours.clock.now = due - timedelta(milliseconds=1)
                assert await ours.webhooks.send_due(endpoint) == 0
                ours.clock.now = due
            while await ours.webhooks.send_due(endpoint):
                came.append(((ours.clock.now - began).total_seconds(), read(receiver.asked[-1])["type"]))
        ids = [request.headers["webhook-id"] for request in receiver.asked]

    waits = [0, 5, 305, 2105, 9305]
    assert came == [(wait, "call.started") for wait in waits] + [(9305, "call.answered"), (9305, "call.ended")]
    assert len(set(ids[:5])) == 1
    assert len(set(ids)) == 3


async def test_after_the_last_attempt_a_message_is_dead_and_somebody_can_retry(tmp_path: Path) -> None:
    async with tool_endpoint(*[Says(status=500)] * 10, OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        [endpoint] = ours.webhooks.endpoints
        await ours.stores.calls.create(a_call())
        for wait in (*RETRY_SECONDS, 0):
            assert await ours.webhooks.send_due(endpoint) == 1
            ours.clock.forward(wait)
        assert await ours.statuses() == [("call.started", "dead", 10)]
        health = await ours.webhooks.health_check()
        assert (health.status, health.detail) == ("degraded", "1 messages were given up in the last day")
        assert ours.registry.get_sample_value("voice_webhooks_dead") == 1
        assert ours.attempts("call.started", "failed") == 9
        assert ours.attempts("call.started", "dead") == 1

        [dead] = await ours.outbox.list("dead", limit=1)
        await ours.outbox.retry(dead.delivery_id, ours.clock())
        await ours.webhooks.send_due(endpoint)
        assert await ours.statuses() == [("call.started", "delivered", 1)]
        assert (await ours.webhooks.health_check()).status == "ok"
        assert len({request.headers["webhook-id"] for request in receiver.asked}) == 1


def test_the_waits_are_those_that_the_documents_promise() -> None:
    minute, hour = 60, 3600
    assert (
        5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour,
    ) == RETRY_SECONDS  # fmt: skip


async def test_an_endpoint_that_asks_for_a_longer_wait_gets_it(tmp_path: Path) -> None:
    busy = Says(status=429, headers={"retry-after": "60"})
    async with tool_endpoint(busy, OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        await ours.stores.calls.create(a_call())
        for waited, sent in ((0, 1), (59, 0), (1, 1)):
            ours.clock.forward(waited)
            assert await ours.webhooks.send_due(*ours.webhooks.endpoints) == sent


async def test_410_switches_the_endpoint_off(tmp_path: Path) -> None:
    async with tool_endpoint(Says(status=410)) as receiver, house(tmp_path, to(receiver.url)) as ours:
        await a_whole_call(ours.stores)
        await ours.webhooks.send_due(*ours.webhooks.endpoints)
        await a_whole_call(ours.stores, "call-2")

        assert await ours.webhooks.send_due(*ours.webhooks.endpoints) == 0
        assert [status for _, status, _ in await ours.statuses()] == ["dead"] * 3
        assert "410" in str((await ours.webhooks.health_check()).detail)
        assert ours.attempts("call.started", "gone") == 1


def webhooks_of(stores: Stores, sender: WebhookSender, loops: ServiceLoops) -> Webhooks:
    metrics = WebhookMetrics(CollectorRegistry())
    return Webhooks(Outbox(stores.database), sender, stores.calls, stores.reader, show, loops, metrics)


async def test_an_endpoint_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async with (
        tool_endpoint(Says(after=60)) as hangs,
        tool_endpoint(OK) as well,
        open_stores(tmp_path) as stores,
        ServiceLoops() as loops,
    ):
        sender = WebhookSender(allow_private=True, https_only=False)
        webhooks = webhooks_of(stores, sender, loops)
        await webhooks.start([to(hangs.url), to(well.url)])
        await a_whole_call(stores)
        await hangs.arrived()
        await well.arrived(3)
        await sender.aclose()

    assert len(hangs.asked) == 1


async def test_a_call_that_cannot_be_shown_holds_up_no_other(tmp_path: Path) -> None:
    async with tool_endpoint(OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        await ours.stores.calls.create(a_call("unreadable"))
        await ours.stores.calls.create(a_call())
        assert await ours.webhooks.send_due(*ours.webhooks.endpoints) == 2

        assert await ours.statuses() == [("call.started", "pending", 1), ("call.started", "delivered", 1)]


async def test_an_erased_call_is_not_reported(tmp_path: Path) -> None:
    async with tool_endpoint(OK) as receiver, house(tmp_path, to(receiver.url)) as ours:
        await a_whole_call(ours.stores)
        await ours.stores.calls.delete("call-1")

        assert await ours.webhooks.send_due(*ours.webhooks.endpoints) == 0
        assert receiver.asked == []


async def test_endpoints_change_while_the_service_runs(tmp_path: Path) -> None:
    async with (
        tool_endpoint(OK) as first,
        tool_endpoint(OK) as second,
        open_stores(tmp_path) as stores,
        ServiceLoops() as loops,
    ):
        sender = WebhookSender(allow_private=True, https_only=False)
        webhooks = webhooks_of(stores, sender, loops)
        await webhooks.start([to(first.url)])
        await stores.calls.create(a_call())
        await first.arrived()
        webhooks.change([to(second.url, events=frozenset({"call.ended"}))])
        async with asyncio.timeout(60):
            while [endpoint.url for endpoint in webhooks.endpoints.values()] != [second.url]:
                await asyncio.sleep(0.01)
        await a_whole_call(stores, "call-2")
        request = await second.arrived()
        await sender.aclose()

    assert read(request)["type"] == "call.ended"
    assert len(first.asked) == 1
    assert [loop.name for loop in loops] == ["webhooks", "webhooks"]  # the first endpoint's is gone
