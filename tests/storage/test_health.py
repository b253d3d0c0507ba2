import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.errors import StorageError
from app.storage.data_folder import DataFolder
from app.storage.database import database_file
from app.storage.health import StorageHealth
from tests.storage.stores import a_call, a_row, locked, open_stores
from tests.support.databases import url_of


async def test_the_storage_has_failed_while_a_commit_takes_too_long(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        health = StorageHealth(
            stores.database,
            stores.journal,
            DataFolder(tmp_path, database_file(url_of(stores.path))),
            longest_commit_seconds=0.0,
        )
        await stores.calls.create(a_call())
        async with locked(stores.path):
            stores.journal.append("call-1", 1, a_row(1))
            while (found := await health.check()).status == "ok":
                pass
            assert found.detail == "a commit takes more than 0 s"
            with pytest.raises(StorageError, match="a commit takes"):
                health.require()
        await stores.journal.flush("call-1")
        assert (await health.check()).status == "ok"
        health.require()


async def test_a_check_that_a_stop_cancels_says_nothing_about_the_storage(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        health = StorageHealth(
            stores.database, stores.journal, DataFolder(tmp_path, database_file(url_of(stores.path)))
        )
        with capture_logs() as entries:
            async with asyncio.TaskGroup() as tasks:
                checking = tasks.create_task(health.check(), name="check")
                await asyncio.sleep(0)
                checking.cancel()
        assert checking.cancelled()
        assert entries == []
        health.require()
