"""What operators have ordered the whole service."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import iso_utc, parse_iso
from app.errors import OutboundStopped, ServicePaused
from app.storage.requests import CallRequestStore
from app.storage.service_orders import ServiceOrders, ServiceOrderStore
from tests.storage.stores import START, Stores, a_call, open_stores
from tests.storage.test_placements import opened, outbound, place

NOW = parse_iso(START)
LATER = NOW + timedelta(minutes=5)


async def test_orders_hold_until_resumed_and_keep_their_time(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = ServiceOrderStore(stores.database)
        untouched = await store.current()
        await store.give("pause", "ops", NOW)
        drained = await store.give("drain", "deploy", LATER)
        stopped = await store.give("stop-outbound", "ops", LATER)
        kept = await store.current()
        resumed = await store.give("resume", "ops", LATER)
        left = await store.current()

    assert untouched == ServiceOrders()
    assert drained == ServiceOrders(iso_utc(NOW), iso_utc(LATER), None, "deploy")
    assert stopped == kept == ServiceOrders(iso_utc(NOW), iso_utc(LATER), iso_utc(LATER), "ops")
    assert resumed == left == ServiceOrders(ordered_by="ops")


async def test_a_process_ends_by_no_order_that_is_older_than_itself(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        drained = await ServiceOrderStore(stores.database).give("drain", "ops", LATER)
    assert drained.is_to_end(NOW)
    assert not drained.is_to_end(LATER + timedelta(seconds=1))
    assert not ServiceOrders().is_to_end(NOW)


async def test_a_paused_service_stores_no_new_call_of_any_process_but_refusals(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, open_stores(tmp_path) as other:
        await ServiceOrderStore(stores.database).give("pause", "ops", NOW)
        with pytest.raises(ServicePaused):
            await other.calls.create(a_call("call_new"), max_live=5)
        await other.calls.create(a_call("call_refused"))
        await ServiceOrderStore(stores.database).give("resume", "ops", NOW)
        await other.calls.create(a_call("call_new"), max_live=5)


async def test_no_call_is_placed_while_outbound_calls_are_stopped_or_the_service_is_paused(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, placements):
        orders = ServiceOrderStore(stores.database)
        await orders.give("stop-outbound", "ops", NOW)
        with pytest.raises(OutboundStopped):
            await place(placements, outbound("call_1"))
        await stores.calls.create(a_call("call_inbound"), max_live=5)
        await orders.give("resume", "ops", NOW)
        await orders.give("pause", "ops", NOW)
        with pytest.raises(ServicePaused):
            await place(placements, outbound("call_2"))


async def test_what_rings_is_asked_to_hang_up_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await _calls_of_all_kinds(stores)
        orders = ServiceOrderStore(stores.database)
        await orders.give("stop-outbound", "ops", NOW)
        await orders.give("stop-outbound", "ops", LATER)
        taken = await CallRequestStore(stores.database).take("process-a", LATER)

    assert [(each.call_id, each.kind) for each in taken] == [("call_rings", "hangup")]


async def _calls_of_all_kinds(stores: Stores) -> None:
    await stores.calls.create(a_call("call_rings", direction="outbound", status="ringing", owner="process-a"))
    await stores.calls.create(a_call("call_talks", direction="outbound", status="active", owner="process-a"))
    await stores.calls.create(a_call("call_comes", direction="inbound", status="ringing", owner="process-a"))
