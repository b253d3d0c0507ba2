import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import column, create_engine, insert, inspect, table

from app.clock import iso_utc, utc_now
from app.errors import AtCapacity, DialLimitReached, KeyReused
from app.storage import migrations
from app.storage.calls import CallRow
from app.storage.placements import DialLimits, IdempotencyKey, PlacementStore
from app.storage.schema import calls
from tests.storage.stores import Stores, a_call, open_stores

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MANY = DialLimits(number_per_hour=100, all_per_day=100)
KEY = IdempotencyKey("key-1", "hash-1")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Stores, PlacementStore]]:
    async with open_stores(folder) as stores:
        yield stores, PlacementStore(stores.database)


def outbound(call_id: str, *, number: str = "+79990000001", at: datetime = NOW, status: str = "ringing") -> CallRow:
    times = {"created_at": iso_utc(at), "started_at": iso_utc(at)}
    telephone: dict[str, Any] = {"kind": "room", "direction": "outbound", "called_number": number, "owner": None}
    return a_call(call_id, status=status, **times, **telephone)


async def place(store: PlacementStore, row: CallRow, **more: Any) -> str:
    given: dict[str, Any] = {"limits": MANY, "max_live": 100, "key": None, "now": NOW}
    return await store.place(row, **(given | more))


async def test_a_call_is_there_for_whichever_process_claims_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, store):
        assert await place(store, outbound("call-1")) == "call-1"
        [claimed] = await stores.calls.claim_unowned("worker-b", 0.0, 1)
    assert (claimed.call_id, claimed.owner, claimed.status) == ("call-1", "worker-b", "ringing")


async def test_the_same_request_with_the_same_key_is_the_same_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, store):
        placed = await asyncio.gather(*(place(store, outbound(f"call-{number}"), key=KEY) for number in range(10)))
        assert len(set(placed)) == 1
        assert await stores.calls.count_live() == 1


async def test_another_request_with_the_same_key_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, store):
        await place(store, outbound("call-1"), key=KEY)
        with pytest.raises(KeyReused):
            await place(store, outbound("call-2"), key=IdempotencyKey("key-1", "hash-2"))
        assert await stores.calls.get("call-2") is None


async def test_a_key_is_forgotten_after_a_day(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, store):
        await place(store, outbound("call-1"), key=KEY)
        assert await place(store, outbound("call-2"), key=KEY, now=NOW + timedelta(hours=23)) == "call-1"
        assert await place(store, outbound("call-2"), key=KEY, now=NOW + timedelta(hours=25)) == "call-2"


async def test_a_repeated_request_returns_its_call_although_the_limit_is_reached(tmp_path: Path) -> None:
    one = DialLimits(number_per_hour=1, all_per_day=1)
    async with opened(tmp_path) as (_, store):
        await place(store, outbound("call-1"), key=KEY, limits=one)
        assert await place(store, outbound("call-2"), key=KEY, limits=one) == "call-1"


async def test_a_number_is_called_so_often_in_an_hour_however_the_calls_ended(tmp_path: Path) -> None:
    two = DialLimits(number_per_hour=2, all_per_day=100)
    async with opened(tmp_path) as (_, store):
        await place(store, outbound("call-1", status="ended"), limits=two)
        later = NOW + timedelta(minutes=20)
        await place(store, outbound("call-2", at=later), limits=two, now=later)
        with pytest.raises(DialLimitReached, match="2 calls to this number") as refused:
            await place(store, outbound("call-3"), limits=two, now=later)
        assert refused.value.retry_after == 40 * 60
        assert await place(store, outbound("call-4", number="+79990000002"), limits=two, now=later) == "call-4"
        assert await place(store, outbound("call-3"), limits=two, now=NOW + timedelta(minutes=60)) == "call-3"


async def test_so_many_calls_are_placed_in_a_day(tmp_path: Path) -> None:
    two = DialLimits(number_per_hour=100, all_per_day=2)
    async with opened(tmp_path) as (_, store):
        for number in range(2):
            await place(store, outbound(f"call-{number}", number=f"+7999000000{number}"), limits=two)
        with pytest.raises(DialLimitReached, match="2 calls placed in a day"):
            await place(store, outbound("call-3"), limits=two, now=NOW + timedelta(hours=23))
        assert await place(store, outbound("call-3"), limits=two, now=NOW + timedelta(hours=24)) == "call-3"


async def test_inbound_calls_do_not_count_as_dials(tmp_path: Path) -> None:
    one = DialLimits(number_per_hour=1, all_per_day=1)
    async with opened(tmp_path) as (stores, store):
        await stores.calls.create(a_call("call-1", direction="inbound", called_number="+79990000001"))
        assert await place(store, outbound("call-2"), limits=one) == "call-2"


async def test_a_place_is_needed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, store):
        await stores.calls.create(a_call("call-1"))
        with pytest.raises(AtCapacity):
            await place(store, outbound("call-2"), max_live=1)


async def test_the_limit_lets_one_of_two_concurrent_requests_through(tmp_path: Path) -> None:
    one = DialLimits(number_per_hour=1, all_per_day=100)
    async with opened(tmp_path) as (_, store):
        rows = [outbound("call-1"), outbound("call-2")]
        placed = await asyncio.gather(*(place(store, row, limits=one) for row in rows), return_exceptions=True)
    assert sorted(type(outcome) for outcome in placed if not isinstance(outcome, str)) == [DialLimitReached]


async def test_a_call_that_is_placed_learns_its_room_and_its_sip_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as (stores, store):
        await place(store, outbound("call-1"))
        [claimed] = await stores.calls.claim_unowned("worker-b", 0.0, 1)
        await stores.calls.note_telephone("call-1", claimed.fence, room_sid="RM_1")
        await stores.calls.note_telephone("call-1", claimed.fence, sip_call_id="SCL_1")
        await stores.calls.note_telephone("call-1", claimed.fence - 1, sip_call_id="SCL_of_a_former_owner")
        [call] = await stores.calls.of_room("RM_1")
    assert (call.call_id, call.sip_call_id) == ("call-1", "SCL_1")


@pytest.mark.sqlite
async def test_what_was_dialled_and_asked_is_known_after_an_update(tmp_path: Path) -> None:
    now = utc_now()
    row = outbound("call-1", at=now)
    key = {"key": KEY.key, "body_hash": KEY.body_hash, "call_id": "call-1", "created_at": iso_utc(now)}
    engine = create_engine(f"sqlite:///{tmp_path / 'calls.db'}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        there = {part["name"] for part in inspect(connection).get_columns("calls")}
        of_then = [part for part in calls.c if part.name in there]
        then = table("calls", *(column(part.name, part.type) for part in of_then))
        connection.execute(insert(then), {part.name: getattr(row, part.name) for part in of_then})
        connection.execute(insert(table("idempotency_keys", *map(column, key))), key)
    engine.dispose()

    async with opened(tmp_path) as (_, store):
        with pytest.raises(DialLimitReached):
            await place(store, outbound("call-2", at=now), limits=DialLimits(1, 100), now=now)
        assert await place(store, outbound("call-2", at=now), key=KEY, now=now) == "call-1"
