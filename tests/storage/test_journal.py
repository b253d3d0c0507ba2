import asyncio
import json
import signal
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, text

from app.clock import lease_now
from app.errors import OwnershipLost, StorageError
from app.models import JournalRow
from app.storage.backlog import Backlog
from app.storage.journal import JournalWriter
from tests.storage.stores import END, ENDING, Stores, a_call, a_row, last_row, locked, open_stores
from tests.support.databases import look

REPOSITORY = Path(__file__).parents[2]


async def committed(stores: Stores, seq: int, call_id: str = "call-1") -> None:
    """Wait until the call's row of that number is in the database."""
    async with asyncio.timeout(5), aclosing(stores.reader.follow(call_id)) as pages:
        async for rows in pages:
            if rows[-1].seq >= seq:
                return


def seqs(rows: list[JournalRow]) -> list[int]:
    return [row.seq for row in rows]


# Groups


async def test_100_rows_of_10_calls_take_one_transaction(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for number in range(10):
            await stores.calls.create(a_call(f"call-{number}"))
        before = stores.database.transactions
        for seq in range(1, 11):
            for number in range(10):
                stores.journal.append(f"call-{number}", 1, a_row(seq))
        for number in range(10):
            await committed(stores, 10, f"call-{number}")

        assert stores.database.transactions - before == 1
        assert seqs(await stores.reader.rows("call-7")) == list(range(1, 11))


async def test_rows_are_committed_without_a_flush(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        started = asyncio.get_running_loop().time()
        stores.journal.append("call-1", 1, a_row(1))
        await committed(stores, 1)

        assert 0.04 < asyncio.get_running_loop().time() - started < 1.0


async def test_flushed_rows_are_seen_by_another_process(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, a_row(1, text="алло"))
        await stores.journal.flush("call-1")

        assert look(stores.path, "SELECT seq, data FROM journal") == [(1, '{"text":"алло"}')]


async def test_a_flush_of_a_call_without_waiting_rows_returns_at_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, locked(tmp_path / "calls.db"):
        await stores.journal.flush("call-1")


async def test_a_row_comes_back_as_it_was_appended(tmp_path: Path) -> None:
    row = JournalRow(
        1,
        "2026-11-22T10:00:00.123Z",
        0.1,
        "caller.words",
        None,
        2,
        {"текст": 'Ёж "\x00\u2028', "pair": "\U0001f600"},
    )
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, row)
        await stores.journal.flush("call-1")

        assert await stores.reader.rows("call-1") == [row]


async def test_a_row_is_kept_as_it_was_when_it_was_appended(tmp_path: Path) -> None:
    words = ["one"]
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, a_row(1, words=words))
        words.append("two")
        await stores.journal.flush("call-1")

        assert (await stores.reader.rows("call-1"))[0].data == {"words": ["one"]}


async def test_closing_commits_what_waits_and_may_be_repeated(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, a_row(1))
        await stores.journal.close()
        await stores.journal.close()

        assert look(stores.path, "SELECT seq FROM journal") == [(1,)]
        with pytest.raises(StorageError, match="closed"):
            stores.journal.append("call-1", 1, a_row(2))


# The end of a call


async def test_a_call_ends_in_the_transaction_of_its_last_row(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(lease_until=5.0))
        before = stores.database.transactions
        stores.journal.append("call-1", 1, a_row(1))
        stores.journal.append("call-1", 1, last_row(2), ENDING)
        await stores.journal.flush("call-1")
        call = await stores.calls.get("call-1")

        assert stores.database.transactions - before == 1
        assert call is not None
        assert call.over_since is not None
        assert 0 <= lease_now() - call.over_since < 60
        assert call.seal == look(stores.path, "SELECT hash FROM journal WHERE seq = 2")[0][0]
        assert replace(call, over_since=None, seal=None) == a_call(
            status="ended", ended_at=END, duration_seconds=60.0, end_reason="caller_hangup"
        )


async def test_a_last_row_without_an_ending_is_a_mistake_and_so_is_the_reverse(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        with pytest.raises(ValueError, match="come together"):
            stores.journal.append("call-1", 1, last_row(1))
        with pytest.raises(ValueError, match="come together"):
            stores.journal.append("call-1", 1, a_row(1), ENDING)


async def test_when_the_last_row_cannot_be_written_the_call_has_not_ended(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, a_row(1))
        await stores.journal.flush("call-1")
        stores.journal.append("call-1", 1, last_row(1), ENDING)  # the number is taken
        with pytest.raises(StorageError, match="refused"):
            await stores.journal.flush("call-1")

        assert look(stores.path, "SELECT status FROM calls") == [("active",)]
        assert look(stores.path, "SELECT type FROM journal") == [("caller.turn_ended",)]


async def test_rows_after_the_last_one_are_dropped_and_counted(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, last_row(1), ENDING)
        stores.journal.append("call-1", 1, a_row(2))
        await stores.journal.flush("call-1")
        stores.journal.append("call-1", 1, a_row(3))
        stores.journal.append("call-1", 1, last_row(4), ENDING)
        await stores.journal.flush("call-1")

        assert look(stores.path, "SELECT seq FROM journal") == [(1,)]
        assert stores.journal.lost_rows == 3
        assert stores.lost == []


# Ownership


async def test_a_process_that_lost_a_call_writes_nothing_more_and_is_notified_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as loser, open_stores(tmp_path) as heir:
        await loser.calls.create(a_call(lease_until=1.0))
        await loser.calls.create(a_call("call-2"))
        loser.journal.append("call-1", 1, a_row(1))
        await loser.journal.flush("call-1")
        await heir.calls.take_over_expired(2.0, "worker-b", until=4.0)

        loser.journal.append("call-1", 1, a_row(2, by="loser"))
        loser.journal.append("call-2", 1, a_row(1))
        heir.journal.append("call-1", 2, a_row(2, by="heir"))
        await heir.journal.flush("call-1")
        for _ in range(2):
            with pytest.raises(OwnershipLost):
                await loser.journal.flush("call-1")
            loser.journal.append("call-1", 1, last_row(3), ENDING)
        await loser.journal.flush("call-2")

        assert loser.lost == ["call-1"]
        assert heir.lost == []
        assert look(heir.path, "SELECT data FROM journal WHERE call_id = 'call-1'") == [("{}",), ('{"by":"heir"}',)]
        assert look(heir.path, "SELECT status, owner FROM calls WHERE call_id = 'call-1'") == [("active", "worker-b")]


async def test_a_process_that_owns_a_call_again_is_not_held_to_its_earlier_failure(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(fence=3))
        stores.journal.append("call-1", 2, a_row(1))
        with pytest.raises(OwnershipLost):
            await stores.journal.flush("call-1")
        stores.journal.append("call-1", 3, a_row(1))
        await stores.journal.flush("call-1")

        assert seqs(await stores.reader.rows("call-1")) == [1]


async def test_rows_of_a_call_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        stores.journal.append("call-1", 1, a_row(1))
        with pytest.raises(OwnershipLost):
            await stores.journal.flush("call-1")


async def test_a_listener_that_fails_does_not_stop_the_journal(tmp_path: Path) -> None:
    def stumble(call_id: str) -> None:
        raise LookupError(call_id)

    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
        journal = JournalWriter(stores.database, on_lost=stumble)
        with structlog.testing.capture_logs() as logs:
            journal.append("gone", 1, a_row(1))
            with pytest.raises(OwnershipLost):
                await journal.flush("gone")
        journal.append("call-1", 1, a_row(1))
        await journal.flush("call-1")
        await journal.close()

    assert [line["event"] for line in logs] == ["journal.ownership_lost", "listener.failed"]


# Trouble


async def test_a_row_that_the_database_refuses_harms_its_own_call_alone(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for call_id in ("good", "bad", "fine"):
            await stores.calls.create(a_call(call_id))
        for call_id in ("good", "bad", "fine"):
            stores.journal.append(call_id, 1, a_row(1, text=f"{call_id} said"))
        stores.journal.append("bad", 1, a_row(1, text="тайна"))  # the number is taken
        stores.journal.append("bad", 1, JournalRow(2, END, 0.2, "caller.left", 2**70, 1, {}))
        stores.journal.append("bad", 1, last_row(3), ENDING)
        with structlog.testing.capture_logs() as logs:
            await asyncio.gather(stores.journal.flush("good"), stores.journal.flush("fine"))
            with pytest.raises(StorageError, match="refused"):
                await stores.journal.flush("bad")

        assert seqs(await stores.reader.rows("bad")) == [1, 3]
        assert seqs(await stores.reader.rows("good")) == seqs(await stores.reader.rows("fine")) == [1]
        assert stores.journal.lost_rows == 2
        assert [line["event"] for line in logs] == ["journal.row_refused"] * 2
        assert "тайна" not in repr(logs)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"bytes"], ids=["set", "nan", "bytes"])
async def test_what_is_not_json_is_refused_where_it_is_appended(tmp_path: Path, value: object) -> None:
    async with open_stores(tmp_path) as stores:
        with pytest.raises(StorageError, match=r"a row of type caller\.words holds what is not JSON"):
            stores.journal.append("call-1", 1, a_row(1, "caller.words", value=value))


async def test_a_locked_database_loses_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group:
        await stores.calls.create(a_call())
        async with locked(stores.path) as release:
            flushes = []
            for seq in range(1, 51):
                stores.journal.append("call-1", 1, a_row(seq))
                flushes.append(group.create_task(stores.journal.flush("call-1"), name=f"flush-{seq}"))
                await asyncio.sleep(0)
            done, _ = await asyncio.wait(flushes, timeout=0.2)
            assert not done
            release()
            await asyncio.wait(flushes)

        assert seqs(await stores.reader.rows("call-1")) == list(range(1, 51))


def _limit_pages(pages: int, connection: Connection) -> int:
    """Let the file grow no further than that many pages above what it has; SQLite calls the disk full then."""
    used = connection.execute(text("PRAGMA page_count")).scalar_one()
    return int(connection.exec_driver_sql(f"PRAGMA max_page_count = {used + pages}").scalar_one())


@pytest.mark.sqlite
async def test_rows_wait_in_order_while_the_disk_is_full(tmp_path: Path) -> None:
    async with open_stores(tmp_path, flush_seconds=0.2) as stores:
        await stores.calls.create(a_call())
        await stores.database.write(lambda connection: _limit_pages(2, connection))
        with structlog.testing.capture_logs() as logs:
            for seq in range(1, 11):
                stores.journal.append("call-1", 1, a_row(seq, text="x" * 3000))
            stores.journal.append("call-1", 1, last_row(11), ENDING)
            with pytest.raises(StorageError, match="in time"):
                await stores.journal.flush("call-1")
            assert look(stores.path, "SELECT status FROM calls") == [("active",)]
            assert repr(stores.journal) == "<JournalWriter failing, 11 rows waiting, 0 lost>"

            await stores.database.write(lambda connection: _limit_pages(10_000, connection))
            await committed(stores, 11)

        assert seqs(await stores.reader.rows("call-1")) == list(range(1, 12))
        assert look(stores.path, "SELECT status FROM calls") == [("ended",)]
        await stores.journal.flush("call-1")
        assert [line["event"] for line in logs] == ["journal.commit_failed", "journal.commit_resumed"]
        assert logs[0]["error"] == "the database failed: SQLITE_FULL, the disk is full"


async def test_when_too_many_rows_wait_the_loss_is_said_once_and_the_end_is_kept(tmp_path: Path) -> None:
    async with open_stores(tmp_path, backlog=Backlog(max_rows_per_call=3)) as stores:
        await stores.calls.create(a_call())
        with structlog.testing.capture_logs() as logs:
            for seq in range(1, 11):
                stores.journal.append("call-1", 1, a_row(seq))
            stores.journal.append("call-1", 1, last_row(11), ENDING)
            with pytest.raises(StorageError, match="too many waited"):
                await stores.journal.flush("call-1")

        assert seqs(await stores.reader.rows("call-1")) == [1, 2, 3, 11]
        assert stores.journal.lost_rows == 7
        assert [line["event"] for line in logs] == ["journal.rows_lost"]


@pytest.mark.sqlite
async def test_closing_while_nothing_can_be_written_ends_and_says_what_is_lost(tmp_path: Path) -> None:
    async with open_stores(tmp_path, flush_seconds=0.1) as stores:
        await stores.calls.create(a_call())
        await stores.database.write(lambda connection: _limit_pages(0, connection))
        for seq in range(1, 4):
            stores.journal.append("call-1", 1, a_row(seq, text="x" * 5000))
        with structlog.testing.capture_logs() as logs:
            await stores.journal.close()

    assert logs[-1] == {"event": "journal.rows_abandoned", "log_level": "error", "rows": 3}


_CHILD = """
import asyncio, sys
from pathlib import Path
from tests.storage.stores import a_call, a_row, open_stores

async def main():
    async with open_stores(Path(sys.argv[1])) as stores:
        await stores.calls.create(a_call())
        for seq in range(1, 1_000_000):
            stores.journal.append("call-1", 1, a_row(seq, text="слова " * 50))
            if seq % 7 == 0:
                await stores.journal.flush("call-1")
                print(seq, flush=True)

asyncio.run(main())
"""


@pytest.mark.sqlite
async def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CHILD, str(tmp_path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    flushed = 0
    while flushed < 210:
        flushed = int(await child.stdout.readline())
    child.kill()
    flushed = max([flushed, *(int(line) for line in (await child.stdout.read()).split(b"\n")[:-1])])

    assert await child.wait() == -signal.SIGKILL
    assert look(tmp_path / "calls.db", "PRAGMA integrity_check") == [("ok",)]
    rows = look(tmp_path / "calls.db", "SELECT seq, data FROM journal ORDER BY seq")
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= flushed
    assert json.loads(rows[-1][1]) == {"text": "слова " * 50}
