import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import parse_iso
from app.errors import CallAlreadyEnded, CallNotFound
from app.storage.requests import CallRequest, CallRequestStore
from tests.storage.stores import START, Stores, a_call, open_stores
from tests.support.databases import look

NOW = parse_iso(START)
HANGUP = CallRequest("call-1", "hangup", {})


def say(text: str, call_id: str = "call-1") -> CallRequest:
    return CallRequest(call_id, "say", {"text": text})


def requests_in(stores: Stores) -> CallRequestStore:
    return CallRequestStore(stores.database)


async def test_requests_are_taken_once_in_the_order_they_were_made(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        requests = requests_in(stores)
        await stores.calls.create(a_call())
        await stores.calls.create(a_call("call-2"))
        made = [say("Ещё минуту."), say("first\x00\U0001f600", "call-2"), HANGUP]
        for request in made:
            await requests.add(request, NOW)

        assert await requests.take("worker-a", NOW) == made
        assert await requests.take("worker-a", NOW) == []


async def test_only_the_owner_of_a_call_gets_its_requests(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        requests = requests_in(stores)
        await stores.calls.create(a_call())
        await requests.add(HANGUP, NOW)

        assert await requests.take("worker-b", NOW) == []
        assert await requests.take("worker-a", NOW) == [HANGUP]


async def test_one_of_two_takers_gets_a_request(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        await one.calls.create(a_call())
        for number in range(20):
            await requests_in(one).add(say(f"{number}"), NOW)

        takers = [requests_in(stores).take("worker-a", NOW) for stores in (one, other) for _ in range(5)]
        taken = [request for some in await asyncio.gather(*takers) for request in some]

    assert sorted(int(request.data["text"]) for request in taken) == list(range(20))


async def test_an_unknown_call_and_one_that_has_ended_take_no_request(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(status="ended"))
        with pytest.raises(CallAlreadyEnded):
            await requests_in(stores).add(HANGUP, NOW)
        with pytest.raises(CallNotFound):
            await requests_in(stores).add(say("x", "call-2"), NOW)

        assert look(stores.path, "SELECT count(*) FROM call_requests") == [(0,)]


async def test_what_was_asked_too_late_is_never_given_and_forgotten_in_time(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        requests = requests_in(stores)
        await stores.calls.create(a_call())
        await stores.calls.create(a_call("call-2"))
        await requests.add(say("taken"), NOW)
        await requests.take("worker-a", NOW)
        await requests.add(say("too late"), NOW)
        await stores.database.write(
            lambda tx: tx.exec_driver_sql("UPDATE calls SET status='ended' WHERE call_id='call-1'")
        )

        assert await requests.take("worker-a", NOW) == []
        await requests.add(say("x", "call-2"), NOW + timedelta(minutes=59))
        assert look(stores.path, "SELECT count(*) FROM call_requests") == [(3,)]
        await requests.add(say("y", "call-2"), NOW + timedelta(minutes=61))
        assert look(stores.path, "SELECT data ->> 'text' FROM call_requests ORDER BY request_id") == [
            (None,),  # what was said does not stay
            ("x",),
            ("y",),
        ]


async def test_requests_to_live_calls_survive_a_step_of_the_wall_clock(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        requests = requests_in(stores)
        await stores.calls.create(a_call())
        await requests.add(HANGUP, NOW)
        await requests.add(say("x"), NOW + timedelta(hours=2))
        assert await requests.take("worker-a", NOW) == [HANGUP, say("x")]


@pytest.mark.sqlite
async def test_to_look_for_requests_writes_nothing_and_scans_no_table(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        before = stores.database.transactions
        await requests_in(stores).take("worker-a", NOW)
        assert stores.database.transactions == before

        query = (
            "SELECT request_id FROM call_requests WHERE taken_at IS NULL AND EXISTS (SELECT 1 FROM calls"
            " WHERE calls.call_id = call_requests.call_id AND owner = 'a' AND status IN ('ringing', 'active')) LIMIT 1"
        )
        plan = [detail for *_, detail in look(stores.path, f"EXPLAIN QUERY PLAN {query}")]
        assert "USING COVERING INDEX call_requests_waiting" in plan[0] or "INDEX call_requests_waiting" in plan[0]
        assert all("SCAN calls" not in detail for detail in plan)
