from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.clock import parse_iso
from app.storage.compressions import REST_SECONDS, CompressionJob, CompressionStore
from app.storage.database import migrate
from tests.storage.stores import END, ENDING, Stores, a_call, insert_calls, last_row, open_stores
from tests.storage.test_figures_of_older_calls import CALL, migrate_to
from tests.support.databases import look, url_of

DUE = parse_iso(END) + timedelta(seconds=REST_SECONDS)


async def an_ended_call(stores: Stores, call_id: str = "call-1", **columns: Any) -> None:
    await stores.calls.create(a_call(call_id, recording=True, **columns))
    stores.journal.append(call_id, 1, last_row(1), ENDING)
    await stores.journal.flush(call_id)


async def claim(store: CompressionStore, *, lease_now: float = 100.0, until: float = 160.0) -> CompressionJob | None:
    return await store.claim(DUE, lease_now=lease_now, until=until)


async def test_one_worker_gets_each_job_and_keeps_it_as_long_as_it_renews_its_lease(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        store = CompressionStore(stores.database)
        assert await store.claim(DUE - timedelta(seconds=1), lease_now=100.0, until=160.0) is None
        job = await claim(store)
        assert job == CompressionJob("call-1", 1, "2026-11-22T10:03:00.000Z", 160.0)
        assert await claim(store) is None

        renewed = await store.renew(job, 220.0)
        assert renewed is not None
        assert await claim(store, lease_now=200.0) is None
        stolen = await claim(store, lease_now=221.0, until=300.0)
        assert stolen is not None
        assert stolen.attempts == 2
        assert await store.renew(renewed, 400.0) is None
        await store.finish(renewed)
        await store.again(renewed, DUE)
        assert await store.waiting() == 1
        await store.finish(stolen)
        assert await store.waiting() == 0


async def test_a_job_that_is_to_be_done_again_is_due_later(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await an_ended_call(stores)
        store = CompressionStore(stores.database)
        job = await claim(store)
        assert job is not None
        await store.again(job, DUE + timedelta(seconds=60))
        assert await claim(store) is None
        later = await store.claim(DUE + timedelta(seconds=60), lease_now=100.0, until=160.0)
        assert later is not None
        assert later.attempts == 2


@pytest.mark.sqlite
async def test_recordings_from_before_are_compressed_the_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    migrate_to(path, "0023")
    ended = {**CALL, "recording": 1, "ended_at": END}
    rows = [
        {**ended, "call_id": "later", "ended_at": "2026-11-22T11:00:00.000Z"},
        {**ended, "call_id": "earlier"},
        {**ended, "call_id": "erased", "recording_erased_at": END},
        {**ended, "call_id": "unrecorded", "recording": 0},
        {**ended, "call_id": "live", "status": "active", "ended_at": None},
    ]
    insert_calls(path, rows)
    migrate(url_of(path))

    jobs = "SELECT call_id, attempts, lease_until FROM compression_jobs ORDER BY due_at"
    assert look(path, jobs) == [("earlier", 0, None), ("later", 0, None)]
