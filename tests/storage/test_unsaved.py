"""The end of a call that the database does not take is in a file until it does, and no longer."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from stat import S_IMODE

import pytest

from app.storage.unsaved import UnsavedEnds
from tests.storage.stores import ENDING, Stores, a_call, a_row, last_row, locked, open_stores
from tests.support.databases import look


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def append_the_end(stores: Stores, call_id: str = "call-1") -> None:
    stores.journal.append(call_id, 1, a_row(2, text="слова \ud83d"))
    stores.journal.append(call_id, 1, last_row(3), ENDING)


async def test_an_end_that_cannot_be_committed_is_kept_until_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "unsaved"
    unsaved = UnsavedEnds(folder)
    file = folder / "call-1.json"
    async with open_stores(tmp_path, unsaved=unsaved) as stores:
        await stores.calls.create(a_call())
        stores.journal.append("call-1", 1, a_row(1))
        await stores.journal.flush("call-1")
        async with locked(stores.path) as release:
            append_the_end(stores)
            await until(file.exists)
            assert [S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]
            kept = await unsaved.read("call-1")
            assert kept is not None
            assert ([row.seq for row in kept.rows], kept.ending) == ([2, 3], ENDING)
            assert await unsaved.call_ids() == ["call-1"]
            release()
        await until(lambda: not file.exists())
        assert look(stores.path, "SELECT status FROM calls") == [("ended",)]
    unsaved.close()


async def test_an_end_is_in_its_file_before_anything_else_happens(tmp_path: Path) -> None:
    """A process that is killed a moment later leaves it behind."""
    unsaved = UnsavedEnds(tmp_path / "unsaved")
    async with open_stores(tmp_path, unsaved=unsaved) as stores:
        await stores.calls.create(a_call())
        async with locked(stores.path):
            append_the_end(stores)
            unsaved._thread.submit(lambda: None).result()  # what it was told before is done; the loop has not run
            kept = unsaved._read("call-1")
        assert kept is not None
        assert ([row.seq for row in kept.rows], kept.ending) == ([2, 3], ENDING)
        await stores.journal.flush("call-1")
    unsaved.close()


async def test_an_end_that_is_committed_leaves_no_file(tmp_path: Path) -> None:
    unsaved = UnsavedEnds(tmp_path / "unsaved")
    async with open_stores(tmp_path, unsaved=unsaved) as stores:
        await stores.calls.create(a_call())
        append_the_end(stores)
        await stores.journal.flush("call-1")
        assert await unsaved.call_ids() == []
    assert list((tmp_path / "unsaved").iterdir()) == []
    unsaved.close()


async def test_a_file_that_was_never_completed_is_found_and_removed(tmp_path: Path) -> None:
    draft = tmp_path / "call-1.draft"
    draft.write_text('{"rows": [')
    unsaved = UnsavedEnds(tmp_path)
    assert await unsaved.call_ids() == ["call-1"]
    assert await unsaved.read("call-1") is None
    await unsaved.remove("call-1")
    assert not draft.exists()
    unsaved.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"rows": [], "ending": {}}',
        b'{"rows": [{"seq": 1}], "ending": {}}',
        b"\xff",
        b"[" * 9999,
    ],
)
async def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "call-1.json").write_bytes(content)
    unsaved = UnsavedEnds(tmp_path)
    assert await unsaved.read("call-1") is None
    assert await unsaved.read("call-2") is None
    unsaved.close()


async def test_without_a_folder_to_write_to_the_end_waits_for_the_database_alone(tmp_path: Path) -> None:
    (tmp_path / "unsaved").write_text("no folder")
    unsaved = UnsavedEnds(tmp_path / "unsaved")
    async with open_stores(tmp_path, unsaved=unsaved) as stores:
        await stores.calls.create(a_call())
        async with locked(stores.path):
            append_the_end(stores)
            await asyncio.sleep(0.5)
        await stores.journal.flush("call-1")
        assert look(stores.path, "SELECT status FROM calls") == [("ended",)]
    unsaved.close()
