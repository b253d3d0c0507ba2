"""A copy of the whole database, made while it is written, and put where there is none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import StorageError
from app.storage.backup import copy_database, copy_name, is_empty, put_back, recorded_calls
from app.storage.calls import CallStore
from app.storage.database import Database
from app.storage.journal_reader import JournalReader
from tests.storage.stores import a_call, a_row, open_stores, url_of
from tests.support.postgres import drop_database, new_database, program


@pytest.fixture
def empty(backend: str, tmp_path: Path) -> Iterator[str]:
    """The address of a database that has nothing yet."""
    if backend == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'elsewhere' / 'calls.db'}"
        return
    cluster, name = new_database(is_empty=True)
    yield cluster.url(name)
    drop_database(cluster, name)


@pytest.fixture(autouse=True)
def _programs(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "postgres":
        folder = Path(program("pg_dump")).parent
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


async def test_a_copy_is_the_database_of_one_moment_and_restores_it(tmp_path: Path, empty: str) -> None:
    url = url_of(tmp_path / "calls.db")
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call("call_1", recording=True, metadata={"name": "Анна"}))
        stores.journal.append("call_1", 1, a_row(1, text="Здравствуйте"))
        await stores.journal.flush("call_1")
        before = await stores.calls.get("call_1"), await stores.reader.rows("call_1")
        copy = tmp_path / f"copy-{copy_name(url)}"
        copy_database(url, copy)
        assert copy.stat().st_mode & 0o077 == 0
        await stores.calls.create(a_call("call_2"))
        assert recorded_calls(url) == ["call_1"]

    assert is_empty(empty)
    assert not is_empty(url)
    put_back(empty, copy)
    assert not is_empty(empty)
    database = await Database.open(empty)
    reader = JournalReader(database)
    try:
        calls = CallStore(database)
        after = await calls.get("call_1"), await reader.rows("call_1")
        later = await calls.get("call_2")
        await calls.create(a_call("call_3"))  # sequences and constraints are there, too
    finally:
        await reader.close()
        await database.close()
    assert after == before
    assert later is None


async def test_what_cannot_be_copied_or_put_back_is_said(tmp_path: Path, empty: str) -> None:
    with pytest.raises(StorageError):
        copy_database(empty.replace("elsewhere", "nowhere").replace(":voice@", ":wrong@").replace("/test_", "/no_"),
                      tmp_path / "copy")  # fmt: skip
    broken = tmp_path / "broken"
    broken.write_bytes(b"no copy")
    if not empty.startswith("sqlite"):
        with pytest.raises(StorageError, match="pg_restore failed"):
            put_back(empty, broken)
        assert is_empty(empty)
