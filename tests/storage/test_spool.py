"""In a long outage rows wait on disk, in their order, and nothing of them stays there."""

import asyncio
from pathlib import Path

import structlog

from app.storage.backlog import Backlog
from app.storage.spool import Spool
from tests.storage.stores import ENDING, a_call, a_row, last_row, locked, open_stores
from tests.support.databases import look

CALLS = ("call-1", "call-2", "call-3")
ROWS = 40


async def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/*.rows"))


async def test_rows_beyond_the_memory_wait_on_disk_and_are_committed_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, "worker-a")
    backlog = Backlog(disk=spool, max_in_memory=20)
    async with open_stores(tmp_path, backlog=backlog, spool=spool, flush_seconds=60) as stores:
        for call_id in CALLS:
            await stores.calls.create(a_call(call_id))
        async with locked(stores.path) as release:
            for seq in range(1, ROWS + 1):
                for call_id in CALLS:
                    stores.journal.append(call_id, 1, a_row(seq, text=f"слова {seq}"))
            for call_id in CALLS:
                stores.journal.append(call_id, 1, last_row(ROWS + 1), ENDING)
            while await files_in(folder) != [f"{call_id}.rows" for call_id in CALLS]:
                await asyncio.sleep(0.01)
            assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))} == {0}
            assert stores.journal.waiting_rows == len(CALLS) * (ROWS + 1)
            release()
            for call_id in CALLS:
                await stores.journal.flush(call_id)

        for call_id in CALLS:
            rows = await stores.reader.rows(call_id)
            assert [row.seq for row in rows] == list(range(1, ROWS + 2))
            assert [row.data.get("text") for row in rows[:-1]] == [f"слова {seq}" for seq in range(1, ROWS + 1)]
        assert look(stores.path, "SELECT DISTINCT status FROM calls") == [("ended",)]
        assert stores.journal.lost_rows == 0
        assert await files_in(folder) == []
    spool.close()
    while list(folder.iterdir()):
        await asyncio.sleep(0.01)


async def test_rows_that_the_disk_lost_are_counted_and_the_others_are_committed(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, "worker-a")
    async with open_stores(
        tmp_path, backlog=Backlog(disk=spool, max_in_memory=2), spool=spool, flush_seconds=60
    ) as stores:
        await stores.calls.create(a_call())
        with structlog.testing.capture_logs() as logs:
            async with locked(stores.path):
                for seq in range(1, 8):
                    stores.journal.append("call-1", 1, a_row(seq))
                while await files_in(folder) != ["call-1.rows"]:
                    await asyncio.sleep(0.01)
                await spool.take("none", 1)  # whatever was to be written is written
                path = folder / "worker-a" / "call-1.rows"
                kept = path.read_bytes().splitlines(keepends=True)
                path.write_bytes(b"".join(kept[:-2]))
            while stores.journal.waiting_rows:
                await asyncio.sleep(0.01)
        rows = await stores.reader.rows("call-1")
    spool.close()

    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert stores.journal.lost_rows == 2
    assert "journal.rows_lost" in [line["event"] for line in logs]


async def test_what_a_dead_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    for name in ("lock", "call-1.rows"):
        (dead / name).write_text("")
    living = Spool(tmp_path, "living")
    backlog = Backlog(disk=living, max_in_memory=0)
    async with open_stores(tmp_path / "data", backlog=backlog, spool=living) as stores, locked(stores.path):
        stores.journal.append("call-2", 1, a_row(1))
        while not (tmp_path / "living" / "call-2.rows").exists():
            await asyncio.sleep(0.01)
        starting = Spool(tmp_path, "starting")
        while dead.exists():
            await asyncio.sleep(0.01)
        assert (tmp_path / "living" / "call-2.rows").exists()
        starting.close()
    living.close()
