"""Checks that the data folder is usable: a volume can be unmounted, full or read-only while the service runs."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

from app.errors import StorageError
from app.observability.process_metrics import DiskUsage

_TRIED_BYTES = 4096


class DataFolder:
    """Checks the folder and the database in it, in its own thread, so that a stalled volume blocks nothing else."""

    def __init__(
        self, folder: Path, database: Path | None, on_disk: Callable[[DiskUsage], None] = lambda _disk: None
    ) -> None:
        """``database`` is the open database's file; None when it is not a file. Raises OSError.

        ``on_disk`` is called in the thread, with how full the disk is, after each check that found the folder usable.
        """
        self._on_disk = on_disk
        self._folder = folder
        self._database = database
        self._opened = _identity(database) if database is not None else None
        self._thread = ThreadPoolExecutor(1, "data.folder")
        self._looking: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<DataFolder {self._folder}>"

    async def check(self) -> None:
        """Raises StorageError when a file cannot be written, or the open database is not the file in the folder.

        A check that still runs is awaited instead of starting another, so that checks do not pile up.
        """
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._look)
        await asyncio.shield(asyncio.wrap_future(self._looking))

    def close(self) -> None:
        """Stop checking. A thread that a stalled volume blocks is abandoned."""
        self._thread.shutdown(wait=False)

    def _look(self) -> None:
        try:
            if self._database is not None and _identity(self._database) != self._opened:
                raise StorageError("the database file was replaced while the service runs: restart it")
        except OSError as error:
            raise StorageError(f"the database file is gone from DATA_DIR: {error.strerror}") from error
        try:
            with TemporaryFile(dir=self._folder, buffering=0) as tried:
                tried.write(b"\0" * _TRIED_BYTES)
        except OSError as error:
            raise StorageError(f"DATA_DIR cannot be written: {error.strerror}") from error
        self._on_disk(shutil.disk_usage(self._folder))


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode: the same after a write, different for a new file of the same name."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino
