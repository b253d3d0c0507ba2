"""Processes on one Postgres tell each other what to look at, and nothing is missing when they do not."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from app.storage.requests import CallRequest, CallRequestStore
from app.storage.webhooks import WebhookInbox
from tests.storage.stores import ENDING, Stores, a_call, a_row, last_row, open_stores
from tests.storage.test_webhooks import NOW, caller
from tests.support.databases import databases

pytestmark = pytest.mark.postgres


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


async def listening(folder: Path, stack: AsyncExitStack, number: int) -> list[Stores]:
    each = [await stack.enter_async_context(open_stores(folder)) for _ in range(number)]
    await until(lambda: all(stores.database.wakeups.is_listening for stores in each))
    return each


async def test_a_process_is_told_what_another_has_written_and_not_what_it_wrote_itself(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one, other = await listening(tmp_path, stack, 2)
        heard: dict[str, list[tuple[str, str]]] = {"one": [], "other": []}
        for name, stores in (("one", one), ("other", other)):
            for topic in ("calls", "requests"):
                stores.database.wakeups.heard[topic].add(lambda call_id, n=name, t=topic: heard[n].append((t, call_id)))  # type: ignore[misc]
        await one.calls.create(a_call())
        await WebhookInbox(one.database).add("EV_1", "participant_joined", caller(1), NOW)
        await CallRequestStore(one.database).add(CallRequest("call-1", "hangup", {}), NOW)
        await until(lambda: len(heard["other"]) == 2)
        assert sorted(heard["other"]) == [("calls", ""), ("requests", "call-1")]
        await WebhookInbox(other.database).add("EV_1", "participant_joined", caller(1), NOW)  # known: nobody is told
        await WebhookInbox(other.database).add("EV_2", "participant_joined", caller(2), NOW + timedelta(seconds=1))
        await until(lambda: heard["one"] == [("calls", "")])
        assert len(heard["other"]) == 2


async def test_who_follows_a_call_is_told_of_each_commit(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        owner, follower = await listening(tmp_path, stack, 2)
        await owner.calls.create(a_call())
        commits = 0

        def note(_call_id: str) -> None:
            nonlocal commits
            commits += 1

        follower.database.wakeups.heard["rows"].add(note)
        owner.journal.append("call-1", 1, a_row(1))
        await owner.journal.flush("call-1")
        followed = owner.database.wakeups._followed  # type: ignore[attr-defined]
        assert (commits, followed) == (0, {})  # nobody follows it yet

        rows: list[int] = []

        async def follow() -> None:
            async for page in follower.reader.follow("call-1"):
                rows.extend(row.seq for row in page)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(), name="follow")
            await until(lambda: "call-1" in followed)
            for seq in (2, 3):
                owner.journal.append("call-1", 1, a_row(seq))
                await owner.journal.flush("call-1")
                await until(lambda seq=seq: rows[-1:] == [seq])  # type: ignore[misc]
            owner.journal.append("call-1", 1, last_row(4), ENDING)
        assert rows == [1, 2, 3, 4]
        assert commits >= 2


async def test_without_the_connection_for_notices_everybody_polls_until_there_is_a_new_one(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        one, other = await listening(tmp_path, stack, 2)
        looked = asyncio.Event()
        wakeups = other.database.wakeups
        assert wakeups.poll_seconds(0.05, 0.5) == 0.5
        wakeups.heard["calls"].add(lambda _call_id: looked.set())
        cluster, name = databases.of(tmp_path / "calls.db")
        cluster.query(
            name,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = $1",
            name,
        )
        one.database.wakeups.tell("calls")  # lost
        await until(lambda: not wakeups.is_listening)
        assert wakeups.poll_seconds(0.05, 0.5) == 0.05
        await looked.wait()
        assert wakeups.is_listening
