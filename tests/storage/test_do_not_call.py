"""The list of numbers that nobody calls again."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import iso_utc, parse_iso
from app.errors import DestinationNotAllowed, OnDoNotCallList, OutsideHours
from app.storage.do_not_call import DoNotCallStore, ListedNumber
from tests.storage.stores import START, open_stores
from tests.storage.test_placements import KEY, opened, outbound, place

NOW = parse_iso(START)
NUMBERS = ["+79990000001", "+79990000002", "+79990000003"]


async def test_a_number_is_there_once_with_its_first_time(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = DoNotCallStore(stores.database)
        first = await store.add(NUMBERS[0], "caller", NOW)
        again = await store.add(NUMBERS[0], "operator", NOW + timedelta(days=1))
        found = await store.page(limit=10)

    assert first == again == ListedNumber(NUMBERS[0], iso_utc(NOW), "caller")
    assert found == [first]


async def test_pages_follow_each_other_in_the_order_of_numbers(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = DoNotCallStore(stores.database)
        for number in reversed(NUMBERS):
            await store.add(number, "operator", NOW)
        first = await store.page(limit=2)
        rest = await store.page(limit=2, after=first[-1].number)

    assert [entry.number for entry in (*first, *rest)] == NUMBERS


async def test_a_number_that_is_taken_off_is_gone(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = DoNotCallStore(stores.database)
        await store.add(NUMBERS[0], "operator", NOW)

        assert await store.remove(NUMBERS[0])
        assert not await store.remove(NUMBERS[0])
        assert await store.page(limit=10) == []


async def test_a_listed_number_is_not_called(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, placements):
        store = DoNotCallStore(stores.database)
        await store.add(NUMBERS[0], "caller", NOW)

        with pytest.raises(OnDoNotCallList):
            await place(placements, outbound("call-1", number=NUMBERS[0]))
        await place(placements, outbound("call-2", number=NUMBERS[1]))
        await store.remove(NUMBERS[0])
        await place(placements, outbound("call-3", number=NUMBERS[0]))

        assert await stores.calls.count_live() == 2


async def test_a_request_that_was_accepted_before_is_answered_as_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, placements):
        await place(placements, outbound("call-1", number=NUMBERS[0]), key=KEY)
        await DoNotCallStore(stores.database).add(NUMBERS[0], "caller", NOW)
        late = OutsideHours("not now")

        assert await place(placements, outbound("call-2", number=NUMBERS[0]), key=KEY, refusal=late) == "call-1"
        with pytest.raises(DestinationNotAllowed):
            await place(placements, outbound("call-3", number=NUMBERS[1]), refusal=late)


async def test_a_call_that_was_placed_before_its_number_was_listed_is_hung_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, placements):
        for call_id, number in (("call_1", NUMBERS[0]), ("call_2", NUMBERS[1])):
            await place(placements, outbound(call_id, number=number))
        await DoNotCallStore(stores.database).add(NUMBERS[0], "operator", NOW)
        hung_up = await stores.calls.claim_hung_up("worker-b", 0.0)
    assert [call.call_id for call in hung_up] == ["call_1"]
