"""Whether the data folder can still be used: a volume can be unmounted, filled or made read-only while calls live."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

from app.errors import StorageError

_TRIED_BYTES = 4096


class DataFolder:
    """Looks at the folder and at the database in it, in a thread of its own: a stalled volume holds nobody else up."""

    def __init__(self, folder: Path, database: Path | None) -> None:
        """``database`` is open; None when it is no file. Raises OSError."""
        self._folder = folder
        self._database = database
        self._opened = _identity(database) if database is not None else None
        self._thread = ThreadPoolExecutor(1, "data.folder")
        self._looking: Future[None] | None = None

    def __repr__(self) -> str:
        return f"<DataFolder {self._folder}>"

    async def check(self) -> None:
        """Raises StorageError when a file cannot be written, or the open database is not the one in the folder.

        A look that does not end is waited for again, so that looks do not pile up.
        """
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._look)
        await asyncio.shield(asyncio.wrap_future(self._looking))

    def close(self) -> None:
        """Look no more. A thread that a stalled volume holds is left behind."""
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


def _identity(path: Path) -> tuple[int, int]:
    """What a file stays when it is written to, and a new one of the same name is not."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino
