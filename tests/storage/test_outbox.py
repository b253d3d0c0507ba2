from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.clock import iso_utc, parse_iso
from app.errors import CallTaken, InvalidRequest, SpendingLimitReached
from app.models import AS_USUAL, CALL_EVENTS
from app.storage.database import migrate
from app.storage.outbox import Backlog, Delivery, Outbox, Subscription
from app.storage.placements import DialLimits, PlacementStore
from app.storage.spending import Reservation, SpendingStore
from tests.storage.stores import END, ENDING, START, Stores, a_call, last_row, open_stores
from tests.support.databases import look, url_of

NOW = parse_iso(END) + timedelta(seconds=1)
ALL = frozenset(CALL_EVENTS)
US = Subscription("us", None, ALL)


async def claim(outbox: Outbox, endpoint: str = "us", **given: Any) -> list[Delivery]:
    return await outbox.claim(endpoint, **{"now": NOW, "lease_now": 100.0, "until": 120.0, "limit": 10} | given)


async def a_whole_call(stores: Stores, call_id: str = "call-1", **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, **{"status": "ringing"} | columns))
    await stores.calls.mark_answered(call_id, 1, START)
    stores.journal.append(call_id, 1, last_row(1), ENDING)
    await stores.journal.flush(call_id)


def events(deliveries: list[Delivery]) -> list[tuple[str, str]]:
    return [(delivery.call_id, delivery.event) for delivery in deliveries]


async def test_each_fact_of_a_call_has_its_delivery_and_they_are_due_one_after_another(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await a_whole_call(stores)
        told = []
        while due := await claim(outbox):
            [delivery] = due
            told.append((delivery.event, delivery.happened_at, delivery.message_id))
            await outbox.delivered(delivery, 200, NOW)

    assert [(event, at) for event, at, _ in told] == [
        ("call.started", START), ("call.answered", START), ("call.ended", END),
    ]  # fmt: skip
    assert len({message for _, _, message in told}) == 3


async def test_a_fact_that_is_rolled_back_leaves_no_delivery(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await stores.calls.create(a_call(room_sid="RM_1", sip_call_id="SCL_1"))
        with pytest.raises(CallTaken):
            await stores.calls.create(a_call("call-2", room_sid="RM_1", sip_call_id="SCL_1"))

        assert events(await outbox.list(None, limit=10)) == [("call-1", "call.started")]


async def test_a_call_of_which_nobody_hears_has_none(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await a_whole_call(stores)

        assert await Outbox(stores.database).list(None, limit=10) == []


async def test_an_endpoint_hears_of_the_calls_of_its_agent_and_of_its_events(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([Subscription("clinic", "clinic", frozenset({"call.ended"})), US])
        await a_whole_call(stores, "call-1", agent="clinic")
        await a_whole_call(stores, "call-2", agent="shop")
        await a_whole_call(stores, "call-3", agent=None)

        assert events(await claim(outbox, "clinic")) == [("call-1", "call.ended")]
        assert events(await claim(outbox)) == [(f"call-{number}", "call.started") for number in (1, 2, 3)]


async def test_a_claim_is_one_workers_until_its_lease_runs_out(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        await Outbox(one.database).subscribe([US])
        await one.calls.create(a_call())
        [mine] = await claim(Outbox(one.database))

        assert await claim(Outbox(other.database), lease_now=119.0) == []
        [again] = await claim(Outbox(other.database), lease_now=121.0, until=141.0)
        assert again.message_id == mine.message_id
        await Outbox(one.database).delivered(mine, 200, NOW)  # too late: it is the other's now
        assert [delivery.status for delivery in await Outbox(one.database).list(None, limit=9)] == ["pending"]


@pytest.mark.sqlite
async def test_a_start_releases_what_dead_workers_had_claimed(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await Outbox(stores.database).subscribe([US])
        await stores.calls.create(a_call())
        await claim(Outbox(stores.database))
    migrate(url_of(tmp_path / "calls.db"))
    async with open_stores(tmp_path) as stores:
        assert len(await claim(Outbox(stores.database))) == 1


async def test_what_failed_is_due_later_and_keeps_its_call_in_order(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await a_whole_call(stores)
        await stores.calls.create(a_call("call-2"))
        first, other = await claim(outbox)
        await outbox.failed(first, "answered 500", 500, NOW + timedelta(seconds=5))
        await outbox.delivered(other, 204, NOW)

        assert await claim(outbox, now=NOW + timedelta(seconds=4)) == []
        [again] = await claim(outbox, now=NOW + timedelta(seconds=5))

    assert (again.event, again.attempts, again.error, again.answer) == ("call.started", 1, "answered 500", 500)


async def test_what_is_dead_lets_the_next_event_of_its_call_go(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await a_whole_call(stores)
        [first] = await claim(outbox)
        await outbox.failed(first, "answered 500", 500, None)

        assert events(await claim(outbox)) == [("call-1", "call.answered")]
        assert [delivery.event for delivery in await outbox.list("dead", limit=10)] == ["call.started"]
        assert await outbox.backlog(NOW - timedelta(days=1)) == Backlog(waiting=2, dead=1, died=1, oldest=START)
        assert (await outbox.backlog(NOW + timedelta(days=1))).died == 0


async def test_an_endpoint_that_is_switched_off_gets_nothing_until_somebody_retries(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await a_whole_call(stores)
        [first] = await claim(outbox)
        await outbox.switch_off(first, "answered 410", 410, NOW)
        await stores.calls.create(a_call("call-2"))

        dead = await outbox.list(None, limit=10)
        assert [(delivery.event, delivery.status) for delivery in dead] == [
            ("call.ended", "dead"), ("call.answered", "dead"), ("call.started", "dead"),
        ]  # fmt: skip
        assert (await outbox.backlog(NOW)).switched_off == 1
        await outbox.subscribe([US])  # a restart does not switch it on
        assert (await outbox.backlog(NOW)).switched_off == 1

        again = await outbox.retry(first.delivery_id, NOW)
        assert again is not None
        assert (again.status, again.attempts, again.message_id) == ("pending", 0, first.message_id)
        assert (await outbox.backlog(NOW)).switched_off == 0
        assert events(await claim(outbox)) == [("call-1", "call.started")]


async def test_what_waits_for_an_endpoint_that_is_gone_is_dead_and_cannot_be_sent(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await stores.calls.create(a_call())
        await outbox.subscribe([])
        [dead] = await outbox.list("dead", limit=10)

        with pytest.raises(InvalidRequest):
            await outbox.retry(dead.delivery_id, NOW)
        assert await outbox.retry(dead.delivery_id + 1, NOW) is None
        assert dead.error == "the endpoint is no longer set up"


async def test_a_delivered_one_can_be_sent_once_more_and_one_under_way_keeps_its_claim(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        await stores.calls.create(a_call())
        [delivery] = await claim(outbox)
        await outbox.retry(delivery.delivery_id, NOW)
        assert await claim(outbox) == []
        await outbox.delivered(delivery, 200, NOW)

        again = await outbox.retry(delivery.delivery_id, NOW + timedelta(hours=1))
        assert again is not None
        assert (again.status, again.due_at) == ("pending", iso_utc(NOW + timedelta(hours=1)))


async def test_erasing_a_call_erases_its_deliveries(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await Outbox(stores.database).subscribe([US])
        await a_whole_call(stores)
        await stores.calls.delete("call-1")

        assert look(stores.path, "SELECT count(*) FROM webhook_deliveries") == [(0,)]


async def test_the_list_goes_on_where_its_last_page_ended(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = Outbox(stores.database)
        await outbox.subscribe([US])
        for number in range(3):
            await stores.calls.create(a_call(f"call-{number}"))
        page = await outbox.list("pending", limit=2)

        assert events(page) == [("call-2", "call.started"), ("call-1", "call.started")]
        assert events(await outbox.list("pending", limit=2, before=page[-1].delivery_id)) == [
            ("call-0", "call.started")
        ]


STANDARD, CLINIC = Subscription("standard", "standard", ALL), Subscription("clinic", "clinic", ALL)
PLACED = {"direction": "outbound", "agent": "standard", "status": "ringing"}
DIALS = DialLimits(number_per_hour=9, all_per_day=9)


async def place(stores: Stores, *, is_announced: bool) -> Outbox:
    """A call of the agent ``standard`` whose lookup has not answered yet."""
    outbox = Outbox(stores.database)
    await outbox.subscribe([US, STANDARD, CLINIC])
    row = a_call(**PLACED)
    given: Any = {"limits": DIALS, "max_live": 9, "key": None, "now": NOW, "is_announced": is_announced}
    await PlacementStore(stores.database).place(row, reservation=Reservation("standard", 0.2), **given)
    return outbox


async def settle(stores: Stores, agent: str, usd: float = 0.5) -> None:
    await stores.calls.settle_agent(
        "call-1", 1, is_recorded=True, retention=AS_USUAL, reservation=Reservation(agent, usd, 0.6)
    )


async def told(outbox: Outbox) -> list[tuple[str, str]]:
    return [(each.endpoint_id, each.event) for each in reversed(await outbox.list(None, limit=20))]


async def ends(stores: Stores) -> None:
    stores.journal.append("call-1", 1, last_row(1), ENDING)
    await stores.journal.flush("call-1")


async def test_only_the_agent_that_the_lookup_chose_hears_of_a_placed_call(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = await place(stores, is_announced=False)
        assert await told(outbox) == []
        await settle(stores, "clinic")
        spent = await SpendingStore(stores.database).of_day(parse_iso(START))
        await stores.calls.mark_answered("call-1", 1, START)
        await ends(stores)
        heard = await told(outbox)

    each = [(endpoint, event) for event in ("started", "answered", "ended") for endpoint in ("clinic", "us")]
    assert sorted(heard[:2]) + sorted(heard[2:4]) + sorted(heard[4:]) == [
        (endpoint, f"call.{event}") for endpoint, event in each
    ]
    assert spent.reserved_usd == 0.5


async def test_a_placed_call_that_ends_before_its_lookup_answers_is_told_in_order(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = await place(stores, is_announced=False)
        await ends(stores)
        heard = await told(outbox)

    assert [event for endpoint, event in heard if endpoint == "standard"] == ["call.started", "call.ended"]


async def test_a_call_that_was_announced_is_not_announced_twice(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = await place(stores, is_announced=True)
        await settle(stores, "standard")
        await stores.calls.mark_answered("call-1", 1, START)
        await ends(stores)
        heard = await told(outbox)

    assert [event for endpoint, event in heard if endpoint == "us"] == ["call.started", "call.answered", "call.ended"]


async def test_what_the_chosen_agent_may_not_spend_leaves_the_call_as_it_was(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        outbox = await place(stores, is_announced=False)
        with pytest.raises(SpendingLimitReached):
            await settle(stores, "clinic", usd=0.7)
        row = await stores.calls.get("call-1")
        spent = await SpendingStore(stores.database).of_day(parse_iso(START))
        heard = await told(outbox)

    assert row is not None
    assert (row.agent, spent.reserved_usd, heard) == ("standard", 0.2, [])
