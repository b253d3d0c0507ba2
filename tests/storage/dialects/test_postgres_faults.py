"""A real Postgres that restarts, fails over, stands still and drops its connections, under live journals.

No row that was acknowledged is lost, rows keep their order, and each is there once.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.errors import StorageError
from app.storage.calls import CallStore
from app.storage.database import migrate
from app.storage.dialects.postgres import PostgresDatabase
from app.storage.journal import JournalWriter
from app.storage.journal_reader import JournalReader
from tests.storage.stores import a_call, a_row
from tests.support.postgres import Cluster, own_cluster, standby_of

pytestmark = pytest.mark.postgres

CALLS = [f"call-{number}" for number in range(5)]
NAME = "voice"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        cluster.query("postgres", f"CREATE DATABASE {NAME}")
        migrate(cluster.url(NAME))
        yield cluster


async def strike(url: str, blow: Callable[[], None], *, prefix: str, answer_seconds: float = 5.0) -> None:
    """Append rows to five calls all the time, strike the server, and see what is there afterwards."""
    database = await PostgresDatabase.connect(make_url(url), round(answer_seconds * 1000), 5.0, answer_seconds)
    calls, reader, journal = CallStore(database), JournalReader(database), JournalWriter(database, flush_seconds=60)
    acknowledged: dict[str, int] = {}
    struck = asyncio.Event()
    ids = [f"{prefix}-{call_id}" for call_id in CALLS]

    async def talk(call_id: str) -> None:
        seq, after = 0, 0
        while after < 5:  # some rows more when all is well again
            seq += 1
            journal.append(call_id, 1, a_row(seq, text=f"row {seq}"))
            if seq % 5 == 0:
                await journal.flush(call_id)
                acknowledged[call_id] = seq
                after += struck.is_set()
            await asyncio.sleep(0.002)

    async def hit() -> None:
        while len(acknowledged) < len(ids):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(blow)
        struck.set()

    try:
        for call_id in ids:
            await calls.create(a_call(call_id, owner="worker-a"))
        async with asyncio.timeout(150), asyncio.TaskGroup() as tasks:
            tasks.create_task(hit(), name="hit")
            for call_id in ids:
                tasks.create_task(talk(call_id), name=call_id)
        assert journal.lost_rows == 0
        for call_id in ids:
            rows = await reader.rows(call_id)
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
            assert [row.data["text"] for row in rows] == [f"row {row.seq}" for row in rows]
            assert len(rows) >= acknowledged[call_id]
        assert await _is_taken(calls, a_call(f"{prefix}-new"))
    finally:
        await journal.close()
        await reader.close()
        await database.close()


async def _is_taken(calls: CallStore, call: object) -> bool:
    """New calls are taken again, after some attempts at most."""
    for _ in range(50):
        try:
            await calls.create(call)  # type: ignore[arg-type]
        except StorageError:
            await asyncio.sleep(0.1)
        else:
            return True
    return False


async def test_a_restart_loses_nothing(cluster: Cluster) -> None:
    def restart() -> None:
        cluster.stop("immediate")
        cluster.start()

    await strike(cluster.url(NAME), restart, prefix="restart")


async def test_dropped_connections_lose_nothing(cluster: Cluster) -> None:
    def drop() -> None:
        for _ in range(10):
            cluster.query("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", NAME)

    await strike(cluster.url(NAME), drop, prefix="dropped")


async def test_a_server_that_stands_still_loses_nothing(cluster: Cluster) -> None:
    """Each transaction is given up after a while, and what it may have committed is not there twice."""

    def stand_still() -> None:
        cluster.pause()
        time.sleep(2)  # in a thread: the server stands still so long, and no event tells that it does
        cluster.pause(goes_on=True)

    await strike(cluster.url(NAME), stand_still, prefix="still", answer_seconds=0.25)


async def test_a_standby_that_is_promoted_takes_over(tmp_path: Path) -> None:
    with own_cluster() as primary:
        primary.query("postgres", f"CREATE DATABASE {NAME}")
        migrate(primary.url(NAME))
        with standby_of(primary) as standby:
            primary.query("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.query("postgres", "SELECT pg_reload_conf()")
            hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (primary, standby))
            url = f"postgresql+asyncpg://voice:voice@/{NAME}?{hosts}"

            def fail_over() -> None:
                primary.stop("immediate")
                standby.promote()

            await strike(url, fail_over, prefix="failover")
