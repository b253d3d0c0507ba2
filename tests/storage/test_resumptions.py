"""Which token goes on with which call, and from whom a call can be had."""

from pathlib import Path

import pytest

from app.errors import TokenInvalid
from app.storage.resumptions import ResumptionStore
from tests.storage.stores import a_call, open_stores

OWN, HEIR = "one.worker1-a", "two.worker1-b"


async def test_the_next_token_and_the_one_that_was_used_last_resume_a_call(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = ResumptionStore(stores.database)
        await stores.calls.create(a_call("call-1", owner=OWN, fence=1, lease_until=10.0))
        await store.note("call-1", 1, "hash-2 hash-1")

        assert (await store.find("call-1", "hash-1")).call_id == "call-1"
        assert (await store.find("call-1", "hash-2")).call_id == "call-1"
        await store.note("call-1", 1, "hash-3 hash-2")
        with pytest.raises(TokenInvalid):
            await store.find("call-1", "hash-1")
        await store.note("call-1", 2, "hash-9")  # by a process that does not own it
        assert (await store.find("call-1", "hash-3")).fence == 1


async def test_a_call_is_claimed_when_its_owner_is_dead_or_lets_go(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        store = ResumptionStore(stores.database)
        await stores.calls.create(a_call("call-1", owner=OWN, fence=1, lease_until=10.0))
        await store.note("call-1", 1, "hash-1")

        assert await store.claim("call-1", "hash-1", HEIR, now=5.0, until=7.0) is None
        await stores.calls.let_go("call-1", 1, 5.0)
        claimed = await store.claim("call-1", "hash-1", HEIR, now=5.1, until=7.1)

    assert claimed is not None
    assert (claimed.owner, claimed.fence, claimed.alive_at) == (HEIR, 2, 5.0)


async def test_a_call_whose_client_may_come_back_is_left_to_it_for_a_while(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("call-1", owner=OWN, fence=1, lease_until=100.0))
        await ResumptionStore(stores.database).note("call-1", 1, "hash-1")
        assert await stores.calls.take_over_expired(80.0, HEIR, until=82.0) == []
        await stores.calls.let_go("call-1", 1, 100.0)

        assert await stores.calls.take_over_expired(105.0, HEIR, until=107.0) == []
        [call] = await stores.calls.take_over_expired(111.0, HEIR, until=113.0)

    assert call.call_id == "call-1"
