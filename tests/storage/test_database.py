import asyncio
import logging
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text

from app.errors import StorageError
from app.storage.database import Database, migrate
from app.storage.schema import REVISION, metadata
from tests.storage.stores import a_call, a_row, locked, open_stores
from tests.support.databases import look, url_of

WAITS_SECONDS = 5.0


@pytest.mark.sqlite
def test_the_migrations_build_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    migrate(url_of(tmp_path / "calls.db"))
    engine = create_engine(f"sqlite:///{tmp_path / 'calls.db'}")
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


@pytest.mark.sqlite
def test_the_schema_that_a_start_takes_for_current_is_the_newest_migrations(tmp_path: Path) -> None:
    migrate(url_of(tmp_path / "calls.db"))
    engine = create_engine(f"sqlite:///{tmp_path / 'calls.db'}")
    with engine.connect() as connection:
        revisions = MigrationContext.configure(connection).get_current_heads()
    engine.dispose()

    assert revisions == (REVISION,)


async def test_migrating_twice_changes_nothing_and_keeps_the_calls(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
    migrate(url_of(tmp_path / "calls.db"))

    assert look(tmp_path / "calls.db", "SELECT call_id FROM calls") == [("call-1",)]


@pytest.mark.sqlite
def test_a_database_of_a_newer_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    migrate(url_of(path))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(StorageError, match=r"newer version of the service \(schema 9999\)"):
        migrate(url_of(path))
    assert look(path, "SELECT version_num FROM alembic_version") == [("9999",)]


@pytest.mark.sqlite
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(StorageError, match=r"cannot write the database .*file/calls\.db"):
        migrate(url_of(tmp_path / "file" / "calls.db"))


@pytest.mark.sqlite
def test_a_read_only_file_system_is_a_clear_error() -> None:
    # Not even root writes there.
    with pytest.raises(StorageError, match=r"cannot write the database /proc/calls\.db"):
        migrate(url_of(Path("/proc/calls.db")))


@pytest.mark.sqlite
def test_a_file_that_is_not_a_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"holiday pictures " * 100)

    with pytest.raises(StorageError, match=r"cannot prepare the database .*calls\.db: .*SQLITE_NOTADB"):
        migrate(url_of(tmp_path / "calls.db"))


@pytest.mark.sqlite
def test_an_address_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(StorageError, match="not the address of a database"):
        migrate("calls.db")


@pytest.mark.sqlite
def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    migrate(url_of(tmp_path / "new folder 100%" / "calls.db"))

    assert (tmp_path / "new folder 100%" / "calls.db").stat().st_mode & 0o077 == 0


@pytest.mark.sqlite
async def test_the_writer_is_durable_and_wipes_what_is_deleted(tmp_path: Path) -> None:
    def pragmas(connection: Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}

    async with open_stores(tmp_path) as stores:
        found = await stores.database.write(pragmas)

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 5000,
    }


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        with pytest.raises(StorageError, match=r"may not be written|SQLITE_READONLY"):
            await stores.database.read(lambda connection: connection.execute(text("DELETE FROM calls")))


async def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    def insert_and_stumble(connection: Connection) -> None:
        connection.execute(
            text("INSERT INTO sessions VALUES ('hash', 'call-1', NULL, '{}', 'a', 'b', NULL, 'all', NULL, '{}', false)")
        )
        raise LookupError("stumbled")

    async with open_stores(tmp_path) as stores:
        with pytest.raises(LookupError):
            await stores.database.write(insert_and_stumble)

        assert look(stores.path, "SELECT count(*) FROM sessions") == [(0,)]


async def test_an_error_names_no_value(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(caller_number="+79161234567"))
        with pytest.raises(StorageError) as caught:
            await stores.calls.create(a_call(caller_number="+79161234567"))

    assert re.search("SQLITE_CONSTRAINT|UniqueViolation", str(caught.value))
    assert caught.value.retryable is False
    assert "7916" not in str(caught.value) + str(caught.value.__cause__)


async def test_a_lock_held_for_a_moment_only_delays_the_write(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, locked(stores.path) as release, asyncio.TaskGroup() as group:
        writing = group.create_task(stores.calls.create(a_call()), name="writing")
        await asyncio.wait([writing], timeout=0.1)
        assert not writing.done()
        release()
        await writing

        assert await stores.calls.count_live() == 1


@pytest.mark.sqlite
async def test_a_loop_that_is_held_up_keeps_no_other_process_from_the_database(tmp_path: Path) -> None:
    has_begun, may_go_on = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        has_begun.set()
        assert may_go_on.wait(WAITS_SECONDS)
        connection.execute(text("DELETE FROM dials"))

    async with open_stores(tmp_path) as stores:
        writing = asyncio.get_running_loop().create_task(stores.database.write(write), name="writing")
        while not has_begun.is_set():
            await asyncio.sleep(0)
        may_go_on.set()
        with closing(sqlite3.connect(tmp_path / "calls.db", timeout=WAITS_SECONDS)) as other:
            other.execute("BEGIN IMMEDIATE")  # the loop stands still until the lock is free
        await writing


@pytest.mark.sqlite
async def test_a_write_behind_a_lock_does_not_wait_for_all_writes_before_it(tmp_path: Path) -> None:
    async with (
        open_stores(tmp_path, busy_milliseconds=500, turn_seconds=0.4) as stores,
        locked(stores.path) as release,
    ):
        began = asyncio.get_running_loop().time()
        writes = [stores.database.write(lambda connection: None) for _ in range(5)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        took = asyncio.get_running_loop().time() - began
        release()
        await stores.database.write(lambda connection: None)

    assert [type(outcome) for outcome in outcomes] == [StorageError] * 5
    assert {outcome.retryable for outcome in outcomes if isinstance(outcome, StorageError)} == {True}
    assert took < 1.5  # each alone waits for half a second


@pytest.mark.sqlite
async def test_a_cancelled_writer_that_waits_for_its_turn_writes_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        async with locked(stores.path), asyncio.TaskGroup() as group:
            first = group.create_task(stores.calls.create(a_call("first")), name="first")
            second = group.create_task(stores.calls.create(a_call("second")), name="second")
            await asyncio.wait([first], timeout=0.05)
            second.cancel()
            await asyncio.wait([second])
            first.cancel()
            await asyncio.wait([first])
        await stores.calls.create(a_call("third"))

        # The first had begun, so it ran to its end; the second had not.
        assert look(stores.path, "SELECT call_id FROM calls ORDER BY call_id") == [("first",), ("third",)]


async def test_a_cancelled_reader_leaves_a_database_that_works(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for steps in range(30):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(stores.calls.count_live(), name="reading")
                for _ in range(steps):
                    await asyncio.sleep(0)
                reading.cancel()

        assert await stores.calls.count_live() == 0


async def test_closing_finishes_the_writes_that_wait_and_may_be_repeated(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(stores.calls.create(a_call(f"call-{number}")), name=f"create-{number}")
        await asyncio.sleep(0)
        await asyncio.gather(stores.database.close(), stores.database.close())
        await stores.database.close()

    assert look(stores.path, "SELECT count(*) FROM calls") == [(20,)]


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.database.close()

        with pytest.raises(StorageError, match="closed"):
            await stores.calls.create(a_call())
        with pytest.raises(StorageError, match="closed"):
            await stores.calls.get("call-1")


async def test_too_many_waiting_writes_are_refused_at_once(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores, asyncio.TaskGroup() as group, locked(stores.path):
        first = group.create_task(stores.calls.create(a_call()), name="first")
        await asyncio.wait([first], timeout=0.05)
        for number in range(1000):
            group.create_task(stores.database.write(lambda connection: None), name=f"write-{number}")
        await asyncio.sleep(0)

        with pytest.raises(StorageError, match="too many writes"):
            await stores.database.write(lambda connection: None)


@pytest.mark.sqlite
async def test_only_a_database_that_was_prepared_is_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it has not been prepared"):
        await Database.open(url_of(tmp_path / "calls.db"))

    assert not (tmp_path / "calls.db").exists()


@pytest.mark.sqlite
async def test_opening_a_file_that_is_not_a_database_fails_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"holiday pictures " * 100)

    with pytest.raises(StorageError, match="SQLITE_NOTADB"):
        await Database.open(url_of(tmp_path / "calls.db"))


async def test_the_database_tells_its_state_in_one_line(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        assert repr(stores.database) == "<Database open, 1 transactions, 0 waiting>"


async def test_not_even_debug_logs_hold_the_callers_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call(caller_number="+79161234567", metadata={"note": "тайна"}))
        assert await stores.calls.get("call-1") is not None

    assert caplog.records != []
    assert "7916" not in caplog.text
    assert "тайна" not in caplog.text


async def test_an_observer_that_raises_loses_no_write_and_stops_none(tmp_path: Path) -> None:
    def stumble(seconds: float) -> None:
        raise ZeroDivisionError

    seen: list[float] = []
    async with open_stores(tmp_path) as stores:
        stores.database.on_written.add(stumble)
        stores.database.on_written.add(seen.append)
        stores.journal.on_written.add(stumble)
        stores.journal.on_committed.add(lambda call_id: stumble(0))
        await stores.calls.create(a_call())
        for number in range(1, 4):
            stores.journal.append("call-1", 1, a_row(number))
            await stores.journal.flush("call-1")
        assert len(await stores.reader.rows("call-1")) == 3
        assert len(seen) >= 4
        assert not stores.database.loop.failures + stores.journal.loop.failures


@pytest.mark.sqlite
async def test_a_write_whose_thread_cannot_be_had_fails_and_the_next_has_a_new_thread(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        stores.database._thread.shutdown()
        with pytest.raises(StorageError, match="writer does not work"):
            await stores.calls.create(a_call())
        await stores.calls.create(a_call())
        assert not stores.database.loop.is_gone


@pytest.mark.sqlite
async def test_a_database_without_a_writer_can_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with open_stores(tmp_path) as stores:
        monkeypatch.setattr(ThreadPoolExecutor, "submit", no_thread)
        waiting = [asyncio.get_running_loop().create_task(stores.calls.create(a_call(str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        await stores.database.close()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        monkeypatch.undo()
    assert {type(outcome) for outcome in outcomes} == {StorageError}


@pytest.mark.sqlite
async def test_without_a_writer_writes_fail_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with open_stores(tmp_path) as stores:
        monkeypatch.setattr(ThreadPoolExecutor, "submit", no_thread)
        while not stores.database.loop.is_gone:
            with pytest.raises(StorageError):
                await stores.calls.create(a_call())
        with pytest.raises(StorageError, match="writer does not work"):
            await stores.calls.create(a_call())
        monkeypatch.undo()


@pytest.mark.sqlite
async def test_a_write_in_hand_comes_to_its_end_when_the_writer_is_interrupted(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        release = threading.Event()
        writing = asyncio.get_running_loop().create_task(
            stores.database.write(lambda connection: release.wait()), name="writing"
        )
        await asyncio.sleep(0.05)
        stores.database.loop._task.cancel()
        await asyncio.sleep(0.05)
        release.set()
        assert await writing is True
        await stores.calls.create(a_call())
