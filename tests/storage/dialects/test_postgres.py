"""What holds on Postgres alone: its tables, its clock, and commits whose answer is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from app.cli.checks.machine import open_database
from app.clock import lease_now, machine_now, set_lease_clock
from app.errors import StorageError
from app.storage.database import Database, migrate
from app.storage.database import look as look_read_only
from app.storage.dialects.postgres import PostgresDatabase
from app.storage.schema import REVISION, metadata
from tests.storage.stores import ENDING, a_call, a_row, last_row, open_stores
from tests.support.databases import change, databases, look, url_of
from tests.support.postgres import drop_database, new_database

pytestmark = pytest.mark.postgres


def test_a_fresh_database_gets_the_tables_that_the_code_uses() -> None:
    cluster, name = new_database(is_empty=True)
    migrate(cluster.url(name))

    def compare(connection: Connection) -> tuple[Any, ...]:
        context = MigrationContext.configure(connection)
        columns = inspect(connection).get_columns("calls")
        return compare_metadata(context, metadata), context.get_current_heads(), columns

    differences, heads, _ = look_read_only(cluster.url(name), compare)
    partial = cluster.query(
        name, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '% WHERE %' ORDER BY 1"
    )
    locale = cluster.query(
        name,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name <> 'alembic_version' AND data_type IN ('text', 'character varying')"
        " AND collation_name IS DISTINCT FROM 'C'",
    )
    drop_database(cluster, name)

    assert differences == []
    assert heads == (REVISION,)
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    wanted = {index.name for index in indexes if index.dialect_options["postgresql"]["where"] is not None}
    assert {name for (name,) in partial} == wanted
    assert wanted == {index.name for index in indexes if index.dialect_options["sqlite"]["where"] is not None}
    assert locale == []


async def test_machines_that_start_together_migrate_once() -> None:
    cluster, name = new_database(is_empty=True)
    await asyncio.gather(*(asyncio.to_thread(migrate, cluster.url(name)) for _ in range(3)))
    assert cluster.query(name, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    drop_database(cluster, name)


async def test_a_database_that_was_not_prepared_is_not_opened() -> None:
    cluster, name = new_database(is_empty=True)
    with pytest.raises(StorageError, match="it has not been prepared"):
        await Database.open(cluster.url(name))
    assert (await open_database(cluster.url(name))).said == "has no tables yet; the first start creates them"
    drop_database(cluster, name)
    with pytest.raises(StorageError, match="there is no database of this name"):
        await Database.open(cluster.url(name))
    with pytest.raises(StorageError, match=f"cannot prepare the database {name}: .* no database of this name"):
        migrate(cluster.url(name))


async def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(StorageError, match="it cannot be reached"):
        await Database.open("postgresql+asyncpg://voice@127.0.0.1:1/calls")


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    change(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match=r"newer version of the service \(schema 9999\)"):
        migrate(url_of(path))
    assert look(path, "SELECT version_num FROM alembic_version") == [("9999",)]


async def test_leases_count_by_the_clock_of_the_database(tmp_path: Path) -> None:
    async with open_stores(tmp_path):
        [(now,)] = look(tmp_path / "calls.db", "SELECT extract(epoch FROM clock_timestamp())::float")
        assert abs(lease_now() - now) < 5
    set_lease_clock(0.0)
    assert abs(lease_now() - machine_now()) < 5


async def test_rows_whose_commit_was_not_answered_are_there_once(tmp_path: Path) -> None:
    """The commit happens, its answer is lost, and the journal tries again."""
    async with open_stores(tmp_path) as stores:
        assert isinstance(stores.database, PostgresDatabase)
        await stores.calls.create(a_call())
        write, failures = stores.database.write, [1, 1]

        async def unanswered(work: Any) -> Any:
            result = await write(work)
            if failures:
                failures.pop()
                raise StorageError("the connection was lost")
            return result

        stores.database.write = unanswered  # type: ignore[method-assign]
        for seq in range(1, 4):
            stores.journal.append("call-1", 1, a_row(seq))
        await stores.journal.flush("call-1")
        stores.journal.append("call-1", 1, a_row(4))
        stores.journal.append("call-1", 1, last_row(5), ENDING)
        await stores.journal.flush("call-1")
        rows = await stores.reader.rows("call-1")

    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    assert stores.journal.lost_rows == 0
    assert failures == []


async def test_a_connection_that_the_server_closes_before_the_commit_costs_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        runs = 0

        def work(connection: Connection) -> None:
            nonlocal runs
            runs += 1
            connection.execute(text("SELECT 1"))
            if runs == 1:
                [(pid,)] = connection.execute(text("SELECT pg_backend_pid()")).all()
                cluster, name = databases.of(tmp_path / "calls.db")
                cluster.query(name, "SELECT pg_terminate_backend($1)", pid)
            connection.execute(text("SELECT 1"))

        await stores.database.write(work)
        await stores.database.read(lambda connection: connection.execute(text("SELECT 1")).all())
        assert runs == 2


async def test_two_transactions_that_lock_each_other_out_both_happen(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        for call_id in ("call-1", "call-2"):
            await stores.calls.create(a_call(call_id))

        def lock(first: str, second: str, connection: Connection) -> None:
            for call_id in (first, second):
                connection.execute(text("UPDATE calls SET language = 'xx' WHERE call_id = :id"), {"id": call_id})
                connection.execute(text("SELECT pg_sleep(0.1)"))

        await asyncio.gather(
            stores.database.write(lambda connection: lock("call-1", "call-2", connection)),
            stores.database.write(lambda connection: lock("call-2", "call-1", connection)),
        )
        assert look(stores.path, "SELECT count(*) FROM calls WHERE language = 'xx'") == [(2,)]


async def test_a_clock_that_is_set_forward_takes_no_call_from_its_living_owner(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("alive", owner="one", lease_until=100.0))
        await stores.calls.create(a_call("dead", owner="two", lease_until=100.0))
        await stores.calls.create(a_call("released", owner="three", lease_until=100.0))
        await stores.calls.release_leases("three")
        stores.database.unmoved_seconds = 0.05
        taken = []
        for look in range(1, 40):  # an hour later by the database, and the living owner renews between two looks
            now = 3600.0 + look / 100
            taken += await stores.calls.take_over_expired(now, "heir", until=now + 1e6)
            await stores.calls.renew_leases("one", ["alive"], 110.0 + look)
            await asyncio.sleep(0.01)
    assert [call.call_id for call in taken] == ["released", "dead"]
