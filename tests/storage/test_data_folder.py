"""A data folder that disappears, is replaced or is full is noticed, and so is its return."""

import asyncio
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.errors import StorageError
from app.storage.data_folder import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "calls.db").write_bytes(b"rows")
    watched = DataFolder(data, data / "calls.db")
    yield watched
    watched.close()


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """As on a full disk; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_folder_that_can_be_used_is_well_and_nothing_is_left_in_it(folder: DataFolder, tmp_path: Path) -> None:
    await folder.check()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["calls.db"]


async def test_a_folder_that_is_gone_is_noticed_and_so_is_its_return(folder: DataFolder, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="gone from DATA_DIR"):
        await folder.check()
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    await folder.check()


async def test_a_replaced_database_file_is_noticed(folder: DataFolder, tmp_path: Path) -> None:
    database = tmp_path / "data" / "calls.db"
    database.rename(tmp_path / "data" / "old.db")
    database.write_bytes(b"rows")
    with pytest.raises(StorageError, match="was replaced"):
        await folder.check()


async def test_a_folder_in_which_nothing_can_be_written_is_noticed(folder: DataFolder) -> None:
    with no_file_may_grow(), pytest.raises(StorageError, match="DATA_DIR cannot be written"):
        await folder.check()
    await folder.check()


async def test_a_database_elsewhere_is_not_looked_for(tmp_path: Path) -> None:
    watched = DataFolder(tmp_path, None)
    await watched.check()
    watched.close()


async def test_a_look_that_hangs_is_waited_for_and_not_begun_again(folder: DataFolder) -> None:
    release = threading.Event()

    def hangs() -> None:
        release.wait()

    folder._looking = held = folder._thread.submit(hangs)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await folder.check()
    assert folder._looking is held
    release.set()
    await folder.check()
    await folder.check()
    assert folder._looking is not held
