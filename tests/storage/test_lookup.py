"""A call looked up from beside the service."""

from pathlib import Path

import pytest

from app.errors import StorageError
from app.storage.lookup import look_up
from tests.storage.stores import a_call, a_row, locked, open_stores
from tests.support.databases import url_of


async def test_a_call_is_found_with_its_whole_journal_while_others_write(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        call = a_call(metadata={"order": 17})
        await stores.calls.create(call)
        rows = [a_row(seq, text="приём") for seq in range(1, 1203)]
        for row in rows:
            stores.journal.append("call-1", 1, row)
        await stores.journal.flush("call-1")

        async with locked(stores.path):
            assert look_up(url_of(stores.path), "call-1") == (call, rows)
            assert look_up(url_of(stores.path), "call-2") is None


@pytest.mark.sqlite
async def test_looking_changes_nothing(tmp_path: Path) -> None:
    async with open_stores(tmp_path) as stores:
        await stores.calls.create(a_call())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert look_up(url_of(tmp_path / "calls.db"), "call-1")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.sqlite
def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no database"):
        look_up(url_of(tmp_path / "calls.db"), "call-1")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.sqlite
def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"something else" * 1000)

    with pytest.raises(StorageError, match="SQLITE_NOTADB"):
        look_up(url_of(tmp_path / "calls.db"), "call-1")
