import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import parse_iso
from app.errors import TokenInvalid, TokenUsed
from tests.storage.stores import START, Stores, a_session, locked, open_stores
from tests.support.databases import look

NOW = parse_iso(START)
LATER = NOW + timedelta(seconds=60)


async def test_a_token_opens_its_session_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        wanted = a_session("call-1", "Анна", {"order": 7}, expires_at=LATER, agent="clinic", variables={"floor": 3})
        await stores.sessions.create(wanted, "hash-1", now=NOW)
        session = await stores.sessions.redeem("call-1", "hash-1", NOW)

        assert session == wanted
        assert session.expires_at == "2026-11-22T10:01:00.000Z"
        with pytest.raises(TokenUsed):
            await stores.sessions.redeem("call-1", "hash-1", NOW)


async def test_one_of_many_sockets_in_two_processes_gets_the_session(tmp_path: Path) -> None:
    async def got_it(stores: Stores) -> bool:
        try:
            await stores.sessions.redeem("call-1", "hash-1", NOW)
        except TokenUsed:
            return False
        return True

    async with open_stores(tmp_path) as one, open_stores(tmp_path) as other:
        await one.sessions.create(a_session("call-1", None, {}, expires_at=LATER), "hash-1", now=NOW)
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(got_it(stores), name="socket") for stores in [one, other] * 5]

    assert sum(attempt.result() for attempt in tries) == 1


async def test_an_unknown_an_expired_and_anothers_token_are_invalid(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.sessions.create(a_session("call-1", None, {}, expires_at=LATER), "hash-1", now=NOW)
        await stores.sessions.create(a_session("call-2", None, {}, expires_at=LATER), "hash-2", now=NOW)

        with pytest.raises(TokenInvalid):
            await stores.sessions.redeem("call-1", "hash-3", NOW)
        with pytest.raises(TokenInvalid):
            await stores.sessions.redeem("call-1", "hash-2", NOW)
        with pytest.raises(TokenInvalid):
            await stores.sessions.redeem("call-1", "hash-1", LATER)
        # None of them has used anybody's token up.
        assert (await stores.sessions.redeem("call-2", "hash-2", NOW)).call_id == "call-2"


async def test_a_guess_waits_for_no_writer_and_has_none_wait(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.sessions.create(a_session("call-1", None, {}, expires_at=LATER), "hash-1", now=NOW)
        written = stores.database.transactions
        async with locked(stores.path):
            with pytest.raises(TokenInvalid):
                await stores.sessions.redeem("call-1", "guess", NOW)
        assert stores.database.transactions == written


async def test_expired_sessions_are_forgotten_when_the_next_is_made(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.sessions.create(a_session("call-1", "Анна", {}, expires_at=LATER), "hash-1", now=NOW)
        await stores.sessions.create(
            a_session("call-2", None, {}, expires_at=LATER + timedelta(seconds=60)), "hash-2", now=LATER
        )

        assert look(stores.path, "SELECT call_id FROM sessions") == [("call-2",)]
