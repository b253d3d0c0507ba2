import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import insert as sql_insert

from app.clock import parse_iso
from app.errors import AtCapacity, CallAlreadyEnded, CallNotFound, CallStillLive, OwnershipLost
from app.storage.calls import CallFilter, CallRow, _delete
from app.storage.schema import calls
from tests.storage.stores import ENDING, START, Stores, a_call, a_row, a_session, last_row, open_stores
from tests.support.databases import look


async def end(stores: Stores, call_id: str, *, seq: int = 1) -> None:
    stores.journal.append(call_id, 1, last_row(seq), ENDING)
    await stores.journal.flush(call_id)


async def all_pages(stores: Stores, wanted: CallFilter, *, limit: int) -> list[str]:
    listed: list[str] = []
    cursor = None
    while True:
        page, cursor = await stores.calls.list(wanted, limit=limit, cursor=cursor)
        listed += [call.call_id for call in page]
        if cursor is None:
            return listed
        assert len(page) == limit


# Records


async def test_a_call_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    call = a_call(
        kind="room",
        direction="inbound",
        status="ringing",
        caller_number="+79161234567",
        called_number="+74951234567",
        livekit_room="call-17",
        language="ru",
        recording=True,
        metadata={"имя": "Ёж", "nested": [1, None, {"a": "\x00\x1b\u2028"}], "a pair": "\U0001f600"},
        summary=None,
        lease_until=1763805600.25,
    )
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(call)

        assert await stores.calls.get("call-1") == call
        assert await stores.calls.get("call-2") is None


async def test_text_is_stored_readable(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(metadata={"имя": "Ёж"}))

        assert look(stores.path, "SELECT metadata FROM calls") == [('{"имя":"Ёж"}',)]


async def test_only_the_first_answer_counts(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(status="ringing"))
        await stores.calls.mark_answered("call-1", 1, "2026-11-22T10:00:01.000Z")
        await stores.calls.mark_answered("call-1", 1, "2026-11-22T10:00:02.000Z")
        call = await stores.calls.get("call-1")

    assert call is not None
    assert (call.status, call.answered_at) == ("active", "2026-11-22T10:00:01.000Z")


async def test_a_call_is_answered_by_its_owner_while_it_lives(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(status="ringing", fence=2))
        await stores.calls.create(a_call("call-2", status="ringing"))
        await end(stores, "call-2")

        with pytest.raises(OwnershipLost):
            await stores.calls.mark_answered("call-1", 1, START)
        with pytest.raises(CallAlreadyEnded):
            await stores.calls.mark_answered("call-2", 1, START)
        with pytest.raises(CallNotFound):
            await stores.calls.mark_answered("call-3", 1, START)


# Admission


async def test_no_more_calls_than_there_are_places_even_from_two_processes(tmp_path: Path) -> None:
    async def try_create(stores: Stores, number: int) -> bool:
        try:
            await stores.calls.create(a_call(f"call-{number}"), max_live=5)
        except AtCapacity:
            return False
        return True

    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        async with asyncio.TaskGroup() as group:
            tries = [
                group.create_task(try_create(stores, number), name=f"try-{number}")
                for number, stores in enumerate([one, other] * 10)
            ]

        assert sum(attempt.result() for attempt in tries) == 5
        assert await one.calls.count_live() == 5


async def test_an_ended_call_frees_its_place(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(), max_live=1)
        await end(stores, "call-1")
        await stores.calls.create(a_call("call-2"), max_live=1)

        assert await stores.calls.count_live() == 1


# Ownership


async def test_one_of_two_processes_takes_an_expired_call_over(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        for number in range(10):
            await one.calls.create(a_call(f"call-{number}", owner="dead", lease_until=100.0))
        async with asyncio.TaskGroup() as group:
            tries = [
                group.create_task(stores.calls.take_over_expired(101.0, name, until=103.0), name=f"take-{name}")
                for name, stores in (("one", one), ("other", other))
            ]
        taken: list[CallRow] = [call for attempt in tries for call in attempt.result()]

    assert sorted(call.call_id for call in taken) == [f"call-{number}" for number in range(10)]
    assert {(call.fence, call.lease_until) for call in taken} == {(2, 103.0)}
    assert len({call.owner for call in taken}) == 1


async def test_only_expired_live_calls_are_taken_over_and_none_that_is_alive_here(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("expired", owner="dead", lease_until=100.0))
        await stores.calls.create(a_call("held", owner="alive", lease_until=102.0))
        await stores.calls.create(a_call("mine", owner="heir", lease_until=100.0))
        await stores.calls.create(a_call("lost", owner="heir", lease_until=100.0))
        await stores.calls.create(a_call("room", owner="dead", lease_until=100.0, kind="room"))
        await stores.calls.create(a_call("ended", owner="dead", lease_until=100.0))
        await end(stores, "ended")
        taken = await stores.calls.take_over_expired(101.0, "heir", until=103.0, alive=["mine"])

    assert sorted(call.call_id for call in taken) == ["expired", "lost", "room"]


async def test_only_the_named_calls_keep_their_lease(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("call-1", owner="worker", lease_until=100.0))
        await stores.calls.create(a_call("call-2", owner="worker", lease_until=100.0))
        await stores.calls.create(a_call("call-3", owner="other", lease_until=100.0))
        assert await stores.calls.renew_leases("worker", ["call-1", "call-3", "none"], 200.0) == {"call-3"}
        taken = await stores.calls.take_over_expired(150.0, "heir", until=250.0)

    assert sorted(call.call_id for call in taken) == ["call-2", "call-3"]


# Lists


async def test_500_calls_with_the_same_start_are_each_listed_once(tmp_path: Path) -> None:
    def insert(connection: Connection) -> None:
        rows = [asdict(a_call(f"call-{number:03}", status="ended")) for number in range(500)]
        connection.execute(sql_insert(calls), rows)

    async with open_stores(tmp_path) as stores:
        await stores.database.write(insert)
        listed = await all_pages(stores, CallFilter(), limit=50)

    assert listed == [f"call-{number:03}" for number in reversed(range(500))]


async def test_a_call_that_starts_between_two_pages_moves_no_other(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for number in range(4):
            await stores.calls.create(a_call(f"call-{number}", started_at=f"2026-11-22T10:00:0{number}.000Z"))
        first, cursor = await stores.calls.list(CallFilter(), limit=2)
        await stores.calls.create(a_call("newest", started_at="2026-11-22T11:00:00.000Z"))
        second, end_cursor = await stores.calls.list(CallFilter(), limit=2, cursor=cursor)

    assert [call.call_id for call in first + second] == ["call-3", "call-2", "call-1", "call-0"]
    assert end_cursor is None


async def test_a_filter_lists_the_calls_that_match_all_of_it(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("a", direction="inbound", caller_number="+71", called_number="+79"))
        await stores.calls.create(a_call("b", direction="inbound", caller_number="+72", called_number="+79"))
        await stores.calls.create(a_call("c", direction="outbound", caller_number="+79", called_number="+71"))
        await stores.calls.create(a_call("d", started_at="2026-11-23T10:00:00.000Z"))
        await end(stores, "b")

        async def listed(**wanted: Any) -> list[str]:
            return await all_pages(stores, CallFilter(**wanted), limit=1)

        assert await listed(direction="inbound") == ["b", "a"]
        assert await listed(direction="inbound", status="ended") == ["b"]
        assert await listed(caller="+79") == ["c"]
        assert await listed(called="+79", caller="+71") == ["a"]
        assert await listed(since="2026-11-23T10:00:00.000Z") == ["d"]
        assert await listed(until="2026-11-23T10:00:00.000Z") == ["c", "b", "a"]
        assert await listed(caller="+70") == []


# Erasure


@pytest.mark.sqlite
async def test_a_deleted_call_leaves_no_byte_of_the_caller_in_any_file(tmp_path: Path) -> None:
    secret, kept = "тайна-тайна", "соседи-молчат"
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(
            a_call("call-1", caller_number="+79160000001", metadata={"note": secret}, variables={"name": secret})
        )
        await stores.calls.create(a_call("call-2", metadata={"note": kept}))
        session = a_session("call-1", secret, {"note": secret}, expires_at=parse_iso(START))
        await stores.sessions.create(session, "hash", now=parse_iso(START))
        for seq in range(1, 301):
            for call_id, text in (("call-1", secret), ("call-2", kept)):
                stores.journal.append(call_id, 1, a_row(seq, text=f"{text} {seq} " * (seq % 40)))
            if seq % 60 == 0:
                await stores.journal.flush("call-1")
        await end(stores, "call-1", seq=301)
        assert secret.encode() in _bytes_of(tmp_path)

        await stores.calls.delete("call-1")
        left = _bytes_of(tmp_path)

        assert kept.encode() in left
        assert secret.encode() not in left
        assert b"+79160000001" not in left
        assert await stores.reader.rows("call-1") == []
        assert len(await stores.reader.rows("call-2")) == 300
        assert look(stores.path, "SELECT count(*) FROM sessions") == [(0,)]


async def test_only_an_ended_call_that_exists_can_be_deleted(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())

        with pytest.raises(CallStillLive):
            await stores.calls.delete("call-1")
        with pytest.raises(CallNotFound):
            await stores.calls.delete("call-2")
        assert await stores.calls.get("call-1") == a_call()


@pytest.mark.sqlite
async def test_erasing_a_call_looks_through_no_table(tmp_path: Path) -> None:
    def erase(connection: Connection) -> dict[str, list[str]]:
        statements: list[str] = []
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(statements.append)
        _delete("call-1", "request", connection)
        driver.set_trace_callback(None)
        return {each: [row[-1] for row in driver.execute(f"EXPLAIN QUERY PLAN {each}")] for each in statements}

    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(status="ended"))
        plans = await stores.database.write(erase)

    assert {"calls", "sessions", "webhook_inbox"} <= {step.split()[1] for plan in plans.values() for step in plan}
    assert [step for plan in plans.values() for step in plan if "SCAN" in step] == []


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
