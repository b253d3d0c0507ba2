"""Calls that several processes, each with connections of its own, want at once."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import iso_after
from app.errors import AtCapacity
from app.storage.calls import CallRow
from app.storage.database import migrate
from app.storage.leases import release_leases_of_earlier_boots
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import START, Stores, a_call, open_stores
from tests.storage.test_webhooks import NOW, caller
from tests.support.databases import look, url_of

PLACES = 17


def outbound(number: int) -> CallRow:
    return a_call(
        f"out-{number}",
        kind="room",
        direction="outbound",
        status="ringing",
        started_at=iso_after(START, number),
        owner=None,
        fence=0,
    )


async def processes(folder: Path, stack: AsyncExitStack, number: int, **options: int) -> list[Stores]:
    return [await stack.enter_async_context(open_stores(folder, **options)) for _ in range(number)]


async def test_a_thousand_arrivals_at_once_never_exceed_the_places(tmp_path: Path) -> None:
    async def arrive(stores: Stores, number: int) -> bool:
        try:
            await stores.calls.create(a_call(f"call-{number}", status="ringing"), max_live=PLACES)
        except AtCapacity:
            return False
        return True

    async with AsyncExitStack() as stack:
        each = await processes(tmp_path, stack, 4, turn_seconds=100, busy_milliseconds=100_000)
        taken = await asyncio.gather(*(arrive(each[number % 4], number) for number in range(1000)))
        assert await each[0].calls.count_live() == sum(taken) == PLACES


async def test_calls_to_be_placed_are_claimed_once_the_oldest_first(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        each = await processes(tmp_path, stack, 2)
        for number in (2, 0, 1, 3, 4, 5):
            await each[0].calls.create(outbound(number))

        first = await each[0].calls.claim_unowned("worker-a", 102.0, 2)
        assert [(call.call_id, call.owner, call.fence, call.lease_until) for call in first] == [
            ("out-0", "worker-a", 1, 102.0),
            ("out-1", "worker-a", 1, 102.0),
        ]
        rest = await asyncio.gather(
            *(stores.calls.claim_unowned(f"worker-{name}", 102.0, 1) for name, stores in enumerate(each * 4))
        )
        assert sorted(call.call_id for some in rest for call in some) == ["out-2", "out-3", "out-4", "out-5"]
        assert not await each[0].calls.is_any_unclaimed()


async def test_only_calls_that_are_to_be_placed_are_without_an_owner(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("web", owner=None, status="ringing"))
        await stores.calls.create(a_call("ended", owner=None, status="ended", direction="outbound"))
        assert not await stores.calls.is_any_unclaimed()
        assert await stores.calls.claim_unowned("worker-a", 102.0, 9) == []
        await stores.calls.create(outbound(1))
        assert await stores.calls.is_any_unclaimed()


async def test_a_caller_in_the_inbox_is_unclaimed_until_he_is_taken(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        each = await processes(tmp_path, stack, 2)
        inboxes = [WebhookInbox(stores.database) for stores in each]
        for number in range(6):
            await inboxes[0].add(f"EV_{number}", "participant_joined", caller(number), NOW + timedelta(seconds=number))
        assert await each[1].calls.is_any_unclaimed()

        first = await inboxes[1].take(NOW, 2)
        assert [each.identity for each in first] == ["sip_0", "sip_1"]
        rest = await asyncio.gather(*(inbox.take(NOW, 1) for inbox in inboxes * 4))
        assert sorted(each.identity for some in rest for each in some) == ["sip_2", "sip_3", "sip_4", "sip_5"]
        assert not await each[0].calls.is_any_unclaimed()


async def test_the_calls_of_a_dead_worker_can_be_taken_over_at_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("one", owner="dead", lease_until=200.0))
        await stores.calls.create(a_call("two", owner="alive", lease_until=200.0))
        await stores.calls.create(a_call("three", owner="dead", status="ended", lease_until=None))
        assert await stores.calls.take_over_expired(100.0, "heir", until=102.0) == []
        assert await stores.calls.release_leases("dead") == 1

        taken = await stores.calls.take_over_expired(100.0, "heir", until=102.0)
        assert [(call.call_id, call.owner, call.fence) for call in taken] == [("one", "heir", 2)]


async def test_a_worker_that_is_late_keeps_its_calls_while_its_supervisor_does_not_call_it_dead(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("sibling", owner="a1.worker2-x", lease_until=100.0))
        await stores.calls.create(a_call("own", owner="a1.worker1-x", lease_until=100.0))
        await stores.calls.create(a_call("stranger", owner="b2.worker2-x", lease_until=100.0))
        await stores.calls.create(a_call("alone", owner="17-x", lease_until=100.0))
        heir = "a1.worker1-x"

        taken = await stores.calls.take_over_expired(102.0, heir, until=104.0)
        assert sorted(call.call_id for call in taken) == ["alone", "own", "stranger"]
        await stores.calls.create(a_call("hangs", owner="a1.worker3-x", lease_until=91.0))
        taken = await stores.calls.take_over_expired(102.0, heir, until=104.0, alive=["alone", "own", "stranger"])
        assert [call.call_id for call in taken] == ["hangs"]
        await stores.calls.release_leases("a1.worker2-x")
        taken = await stores.calls.take_over_expired(102.0, heir, until=104.0)
        assert [call.call_id for call in taken] == ["sibling"]


async def test_with_only_released_only_calls_of_dead_workers_are_taken_over(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("silent", owner="b2.worker2-x", lease_until=1.0))
        await stores.calls.create(a_call("dead", owner="a1.worker2-x", lease_until=200.0))
        await stores.calls.release_leases("a1.worker2-x")
        for heir in ("a1.worker1-x", "17-x"):
            [taken] = await stores.calls.take_over_expired(5.0, heir, until=6.0, only_released=True)
            assert (taken.call_id, taken.owner) == ("dead", heir)
            await stores.calls.release_leases(heir)


@pytest.mark.sqlite
async def test_an_owner_without_calls_writes_while_there_is_somebody_to_judge_and_never_else(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        log = tmp_path / "calls.db-wal"
        assert await stores.calls.renew_leases("idle", [], 100.0) == set()
        assert log.stat().st_size == 0
        await stores.calls.create(a_call("one", owner="other"))
        before = log.stat().st_size
        assert await stores.calls.renew_leases("idle", [], 100.0) == set()
        assert log.stat().st_size > before


@pytest.mark.sqlite
async def test_calls_from_before_a_reboot_are_released(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("before", owner="a1.worker2-x", lease_until=4e9))
        await stores.calls.create(outbound(1))
        await stores.calls.create(a_call("over", status="ended", over_since=5.0))
        migrate(url_of(stores.path))
        assert await stores.calls.take_over_expired(1.0, "heir", until=3.0) == []

        await stores.database.write(lambda connection: release_leases_of_earlier_boots(connection, "another boot"))
        taken = await stores.calls.take_over_expired(1.0, "heir", until=3.0, only_released=True)
        assert [call.call_id for call in taken] == ["before"]
        over = await stores.calls.get("over")
        assert over is not None
        assert over.over_since is None
        assert await stores.calls.is_any_unclaimed()


@pytest.mark.sqlite
async def test_to_look_for_what_waits_writes_nothing_and_scans_no_table(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        before = stores.database.transactions
        await stores.calls.is_any_unclaimed()
        await stores.calls.take_over_expired(100.0, "heir", until=102.0, alive=["x"])
        assert stores.database.transactions == before
        plan = look(
            stores.path,
            "EXPLAIN QUERY PLAN SELECT EXISTS (SELECT event_id FROM webhook_inbox WHERE taken_at IS NULL)"
            " OR EXISTS (SELECT call_id FROM calls"
            " WHERE status = 'ringing' AND direction = 'outbound' AND owner IS NULL)",
        )
        details = [detail for *_, detail in plan]
        assert any("webhook_inbox USING" in detail and "webhook_inbox_waiting" in detail for detail in details)
        assert any(detail.startswith("SEARCH calls USING INDEX") for detail in details)
