import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.errors import StorageError
from app.models import JournalRow
from tests.storage.stores import ENDING, Stores, a_call, a_row, last_row, open_stores


async def write(stores: Stores, *rows: JournalRow, call_id: str = "call-1") -> None:
    for row in rows:
        stores.journal.append(call_id, 1, row, ENDING if row.type == "call.ended" else None)
    await stores.journal.flush(call_id)


async def followed(stores: Stores, *, after_seq: int = 0, seen: asyncio.Queue[int] | None = None) -> list[int]:
    """The numbers of the rows that a follower gets until its journal ends."""
    got: list[int] = []
    async for rows in stores.reader.follow("call-1", after_seq):
        assert rows
        got += [row.seq for row in rows]
        if seen is not None:
            seen.put_nowait(got[-1])
    return got


async def test_rows_are_read_to_the_last_one_however_many_pages_they_fill(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        await write(stores, *(a_row(seq) for seq in range(1, 1203)))

        assert [row.seq for row in await stores.reader.rows("call-1")] == list(range(1, 1203))
        assert [row.seq for row in await stores.reader.rows("call-1", after_seq=1200)] == [1201, 1202]
        assert await stores.reader.rows("call-2") == []


async def test_a_follower_gets_each_row_once_until_the_call_has_ended(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group:
        await stores.calls.create(a_call())
        await write(stores, a_row(1), a_row(2))
        seen: asyncio.Queue[int] = asyncio.Queue(100)
        follower = group.create_task(followed(stores, seen=seen), name="follower")
        assert await seen.get() == 2
        for seq in range(3, 9):
            await write(stores, a_row(seq))
            assert await seen.get() == seq
        await write(stores, last_row(9))

        assert await follower == list(range(1, 10))


async def test_rows_of_this_process_do_not_wait_for_the_next_look(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group:
        await stores.reader.close()  # nobody looks any more
        await stores.calls.create(a_call())
        seen: asyncio.Queue[int] = asyncio.Queue(100)
        follower = group.create_task(followed(stores, seen=seen), name="follower")
        for seq in (1, 2):
            await write(stores, a_row(seq))
            assert await seen.get() == seq
        await write(stores, last_row(3))
        await follower


async def test_rows_of_another_process_are_followed_too(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as here, open_stores(tmp_path) as there, asyncio.TaskGroup() as group:
        await there.calls.create(a_call())
        seen: asyncio.Queue[int] = asyncio.Queue(100)
        follower = group.create_task(followed(here, seen=seen), name="follower")
        await write(there, a_row(1))
        async with asyncio.timeout(2):
            assert await seen.get() == 1
        await write(there, last_row(2))
        async with asyncio.timeout(2):
            assert await follower == [1, 2]


async def test_a_long_journal_is_followed_to_its_end(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        await write(stores, *(a_row(seq) for seq in range(1, 1000)), last_row(1000))

        assert await followed(stores) == list(range(1, 1001))
        assert await followed(stores, after_seq=990) == list(range(991, 1001))


async def test_following_an_ended_or_missing_call_ends_at_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        assert await followed(stores) == []
        await stores.calls.create(a_call())
        await write(stores, last_row(1))

        assert await followed(stores, after_seq=1) == []


async def test_following_ends_when_the_call_is_deleted_elsewhere(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as here, open_stores(tmp_path) as there, asyncio.TaskGroup() as group:
        await there.calls.create(a_call())
        await write(there, a_row(1))
        seen: asyncio.Queue[int] = asyncio.Queue(100)
        follower = group.create_task(followed(here, seen=seen), name="follower")
        assert await seen.get() == 1
        await write(there, last_row(2))
        await there.calls.delete("call-1")

        async with asyncio.timeout(2):
            assert await follower in ([1], [1, 2])


async def test_a_hundred_followers_of_one_call_read_each_row_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group:
        await stores.calls.create(a_call())
        read = stores.database.reading
        reads = 0

        def counted(*arguments: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(*arguments)

        stores.database.reading = counted  # type: ignore[method-assign]  # counts, and does what it did
        seen: asyncio.Queue[int] = asyncio.Queue()
        following = [group.create_task(followed(stores, seen=seen), name=f"f{number}") for number in range(100)]
        for seq in range(1, 6):
            await write(stores, a_row(seq))
            for _ in range(100):
                await seen.get()
        await write(stores, last_row(6))
    assert [task.result() for task in following] == [[1, 2, 3, 4, 5, 6]] * 100
    assert reads < 60


async def test_a_follower_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        await write(stores, a_row(1))
        rows = stores.reader.follow("call-1")
        assert [row.seq for row in await anext(rows)] == [1]
        await rows.aclose()

        assert repr(stores.reader) == "<JournalReader 0 calls followed>"


async def test_a_follower_may_ask_for_empty_lists_while_nothing_is_new(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        await write(stores, a_row(1))
        rows = stores.reader.follow("call-1", quiet_seconds=0.01)
        assert [[row.seq for row in await anext(rows)] for _ in range(3)] == [[1], [], []]
        await write(stores, last_row(2))
        assert [row.seq for page in [page async for page in rows] for row in page] == [2]


async def test_a_follower_gets_the_error_when_the_database_fails(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        await write(stores, a_row(1))
        rows = stores.reader.follow("call-1")
        await anext(rows)
        await stores.database.close()

        with pytest.raises(StorageError):
            await anext(rows)
