"""Rows of journals that wait for the database on disk, when so many wait that memory should not hold them.

One file for each call, with a line for each row, in their order. A thread of its own reads and writes them. The files
are the queue's, not a record: those of a process that died are removed by the next one that starts. Each process has a
folder of its own, and a lock in it (``flock``), which the kernel lets go of when the process ends.
"""

import asyncio
import fcntl
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from app.models import JournalRow
from app.storage.backlog import WaitingRow
from app.storage.schema import encode_json
from app.storage.unsaved import ending_from

log = structlog.get_logger(__name__)

_SUFFIX, _LOCK = ".rows", "lock"


class Spool:
    """The files of this process in ``folder``, readable by the owner only."""

    def __init__(self, folder: Path, owner: str) -> None:
        """``owner`` is the unique name of the process."""
        self._folder = folder / owner
        self._thread = ThreadPoolExecutor(1, "journal.spool")
        self._read_to: dict[str, int] = {}
        """How many bytes of each file were taken."""
        self._failed = False
        self._lock: int | None = None
        self._thread.submit(self._remove_dead)

    def __repr__(self) -> str:
        return f"<Spool in {self._folder}>"

    def keep(self, call_id: str, waiting: WaitingRow) -> None:
        """Put a row behind those of its call soon. Never waits; a row that cannot be written will be missing."""
        self._thread.submit(self._write, call_id, waiting)

    async def take(self, call_id: str, rows: int) -> list[WaitingRow]:
        """Take the first rows of a call, at most so many; fewer if some could not be written or read."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._take(call_id, rows))

    def close(self) -> None:
        """Remove the folder when what was begun is over. A thread that a stalled volume blocks is abandoned."""
        self._thread.submit(self._remove)
        self._thread.shutdown(wait=False)

    def _path(self, call_id: str) -> Path:
        return self._folder / f"{call_id}{_SUFFIX}"

    def _write(self, call_id: str, waiting: WaitingRow) -> None:
        ending = None if waiting.ending is None else asdict(waiting.ending)
        line = encode_json({"fence": waiting.fence, "row": asdict(waiting.row), "ending": ending})
        try:
            self._make()
            file = os.open(self._path(call_id), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, f"{line}\n".encode())
            finally:
                os.close(file)
        except OSError as error:
            if not self._failed:
                log.error("journal.not_spooled", error=error.strerror)
            self._failed = True
        else:
            self._failed = False

    def _take(self, call_id: str, rows: int) -> list[WaitingRow]:
        path, begin = self._path(call_id), self._read_to.pop(call_id, 0)
        taken: list[WaitingRow] = []
        try:
            with path.open("rb") as file:
                file.seek(begin)
                for _ in range(rows):
                    if not (line := file.readline()):
                        break
                    taken.append(_row(line))
                end = file.tell()
                is_whole = not file.read(1)
            if is_whole:
                path.unlink()
            else:
                self._read_to[call_id] = end
        except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
            log.error("journal.spool_unreadable", call_id=call_id, error=type(error).__name__)
        return taken

    def _make(self) -> None:
        """Make the folder when it is first needed. Raises OSError."""
        if self._lock is None:
            for folder in (self._folder.parent, self._folder):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _remove(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)

    def _remove_dead(self) -> None:
        """Remove what processes left that are dead: it holds callers' words."""
        for lock in self._folder.parent.glob(f"*/{_LOCK}"):
            with suppress(OSError), lock.open("rb") as file:  # one that cannot be locked belongs to a living process
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)


def _row(line: bytes) -> WaitingRow:
    """Raises ValueError, TypeError, AttributeError or LookupError."""
    kept: dict[str, Any] = json.loads(line)
    row = JournalRow(**kept["row"])
    ending = None if kept["ending"] is None else ending_from(kept["ending"])
    return WaitingRow(kept["fence"], row, encode_json(row.data), ending)
