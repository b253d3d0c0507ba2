"""What the calls of a day may cost together, in whichever process they are."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.errors import SpendingLimitReached
from app.ports.services import CallEnding
from app.storage.calls import CallRow
from app.storage.spending import DaySpending, Reservation, SpendingStore
from tests.storage.stores import ENDING, Stores, a_call, last_row, open_stores
from tests.support.databases import look

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
CALL = Reservation("clinic", 0.5, day_limit=1.2)


def ending(total: float | None, **more: Any) -> CallEnding:
    return replace(ENDING, summary={"costs": {"stt": 0.1, "total": total}}, **more)


async def takes(stores: Stores, call_id: str, reservation: Reservation = CALL, **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, **columns), reservation=reservation)


async def ends(stores: Stores, call_id: str, end: CallEnding) -> None:
    stores.journal.append(call_id, 1, last_row(1), end)
    await stores.journal.flush(call_id)


async def of_today(stores: Stores) -> DaySpending:
    return await SpendingStore(stores.database).of_day(TODAY)


async def test_a_call_reserves_its_limit_until_its_own_cost_is_known(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1")
        assert await of_today(stores) == DaySpending("2026-11-22", 0.0, 0.5, 0)
        await ends(stores, "call-1", ending(0.03))
        assert await of_today(stores) == DaySpending("2026-11-22", 0.03, 0.0, 0)


async def test_a_call_that_does_not_fit_into_the_day_is_refused(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1")
        await takes(stores, "call-2")
        with pytest.raises(SpendingLimitReached) as refused:
            await takes(stores, "call-3")
        assert refused.value.retry_after == 14 * 3600  # it is ten o'clock
        assert await stores.calls.get("call-3") is None
        with pytest.raises(SpendingLimitReached):
            await stores.calls.check_spending(CALL, TODAY)
        await ends(stores, "call-1", ending(0.1))
        await stores.calls.check_spending(CALL, TODAY)
        await takes(stores, "call-3")
        await takes(stores, "call-4", started_at="2026-11-23T00:00:00.000Z")  # a new day


async def test_the_limit_holds_for_all_processes(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        taken = await asyncio.gather(
            *(takes(stores, f"call-{number}-{stores is one}") for number in range(5) for stores in (one, other)),
            return_exceptions=True,
        )
    assert [type(result) for result in taken].count(SpendingLimitReached) == 8
    assert taken.count(None) == 2


@pytest.mark.parametrize(
    ("end", "spent", "reserved", "unknown"),
    [
        (ending(None), 0.0, 0.5, 1),
        (replace(ENDING, summary=None), 0.0, 0.5, 1),
        (ending(None, duration_seconds=0.0), 0.0, 0.0, 0),  # never answered: nothing was used
        (ending(0.7), 0.7, 0.0, 0),  # the last request ended beyond the limit
    ],
)
async def test_a_call_whose_cost_is_unknown_counts_with_all_that_it_reserved(
    end: CallEnding, spent: float, reserved: float, unknown: int, tmp_path: Path
) -> None:
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1")
        await ends(stores, "call-1", end)
        assert await of_today(stores) == DaySpending("2026-11-22", spent, reserved, unknown)


async def test_a_call_of_a_dead_process_counts_in_the_same_way(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1")
        await stores.calls.end_without_row("call-1", 1, replace(ENDING, duration_seconds=None, end_reason="crashed"))
        assert await of_today(stores) == DaySpending("2026-11-22", 0.0, 0.5, 1)


async def test_an_agent_has_a_limit_of_its_own(tmp_path: Path) -> None:
    clinic = replace(CALL, agent_day_limit=0.6, day_limit=10.0)
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1", clinic)
        with pytest.raises(SpendingLimitReached, match=r"the limit of 0\.6 US dollars a day"):
            await takes(stores, "call-2", clinic)
        await takes(stores, "call-3", Reservation("bakery", 5.0, day_limit=10.0))
        with pytest.raises(SpendingLimitReached, match="the limit of 10 US dollars a day"):
            await takes(stores, "call-4", Reservation("bakery", 5.0, day_limit=10.0))


async def test_without_limits_costs_are_kept_all_the_same(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for number in range(3):
            await takes(stores, f"call-{number}", Reservation("clinic"))
            await ends(stores, f"call-{number}", ending(0.25))
        assert await of_today(stores) == DaySpending("2026-11-22", 0.75, 0.0, 0)


async def test_erasing_a_call_gives_nothing_back_and_leaves_nothing_that_leads_to_it(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await takes(stores, "call-1")
        await ends(stores, "call-1", ending(0.4))
        await stores.calls.delete("call-1")
        assert await of_today(stores) == DaySpending("2026-11-22", 0.4, 0.0, 0)
        assert look(stores.path, "SELECT day, agent, call_id, spent_usd FROM spending") == [
            ("2026-11-22", "clinic", None, 0.4)
        ]


async def test_amounts_of_earlier_days_go(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for day in (10, 20, 21, 22):
            await takes(stores, f"call-{day}", started_at=f"2026-11-{day}T10:00:00.000Z")
        assert [day for (day,) in look(stores.path, "SELECT day FROM spending")] == [
            "2026-11-20",
            "2026-11-21",
            "2026-11-22",
        ]


async def test_a_refused_call_reserves_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        refused: CallRow = a_call("call-1", kind="room", direction="inbound", status="ringing")
        await stores.calls.create(refused)
        await ends(stores, "call-1", replace(ENDING, end_reason="rejected_policy"))
        assert await of_today(stores) == DaySpending("2026-11-22", 0.0, 0.0, 0)


async def test_what_belongs_to_no_call_counts_in_the_day_and_in_no_agents_limit(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = SpendingStore(stores.database)
        await store.add(0.5, TODAY)
        await store.add(0.3, TODAY)
        assert await of_today(stores) == DaySpending("2026-11-22", 0.8, 0.0, 0)
        with pytest.raises(SpendingLimitReached):
            await stores.calls.check_spending(CALL, TODAY)
        await stores.calls.check_spending(Reservation("clinic", 0.5, agent_day_limit=0.6), TODAY)
        await store.add(0.1, TODAY.replace(day=23))
        assert (await of_today(stores)).spent_usd == 0.8
