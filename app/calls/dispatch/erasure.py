"""Erases calls that have ended: the recording first, then the rest, so that no recording is left without its call.

Task ledger.

``eraser``  removes at the start what interrupted erasures have left. Then, every minute, it removes expired sessions
            and what the database's write-ahead log still has of erased calls. Ends when it is cancelled.
"""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import structlog

from app.clock import iso_from_epoch, utc_now
from app.errors import CallStillLive, StorageError
from app.storage.calls import CallRow, CallStore
from app.storage.disk_threads import on_disk
from app.storage.sessions import SessionStore
from app.storage.unsaved import UnsavedEnds

log = structlog.get_logger(__name__)

_ERASED = ".erased"
"""A folder gets this suffix before its files are removed, so that nobody can get half a recording."""
_FOLDERS_AT_ONCE = 500
_PERIOD_SECONDS = 60.0


class CallEraser:
    """Erases calls.

    ``recordings`` has one folder for each call, named by its id; ``unsaved`` may have a call's last rows in a file.
    """

    def __init__(self, calls: CallStore, sessions: SessionStore, recordings: Path, unsaved: UnsavedEnds) -> None:
        self.calls = calls
        """The records of the calls."""
        self._sessions = sessions
        self._recordings = recordings
        self._unsaved = unsaved
        self._is_swept = False

    async def erase(self, call: CallRow) -> None:
        """Erase everything of the call. Safe to repeat after an interruption at any point.

        Raises CallStillLive, StorageError, or CallNotFound if it was erased meanwhile.
        """
        if call.status != "ended":
            raise CallStillLive("the call has not ended yet")
        await self.erase_ended(call.call_id)

    async def erase_ended(self, call_id: str, *, by: Literal["request", "retention"] = "request") -> None:
        """Erase everything of a call that has ended. Raises as :meth:`erase`."""
        await self.erase_recording(call_id)
        await self.forget_unsaved(call_id)
        await self.calls.delete(call_id, by=by)
        await self.erase_recording(call_id)  # its owner may have written more while it closed the recording

    async def erase_recording(self, call_id: str) -> None:
        """Remove the recording of a call that has ended. Safe to repeat. Raises StorageError."""
        await self._remove(self._recordings / call_id)

    async def forget_unsaved(self, call_id: str) -> None:
        """Remove the last rows of the call that are kept outside the database. Raises StorageError."""
        try:
            await self._unsaved.remove(call_id)
        except OSError as error:
            raise StorageError(f"the call's last rows cannot be removed: {error.strerror}") from error

    async def run(self) -> None:
        """One round: forget what has expired. The first round also sweeps."""
        if not self._is_swept:
            await self.sweep()
            self._is_swept = True
        await self.forget(utc_now())
        await asyncio.sleep(_PERIOD_SECONDS)

    async def forget(self, now: datetime) -> None:
        """Remove expired sessions, and erased data from the write-ahead log. Raises StorageError."""
        await self._sessions.forget_expired(now)
        await self.calls.empty_log()

    async def sweep(self) -> None:
        """Remove what interrupted erasures have left, and what belongs to no call any more."""
        try:
            for call_id in await self._unsaved.call_ids():
                call = await self.calls.get(call_id)
                if call is None or call.status == "ended":
                    await self.forget_unsaved(call_id)
            known_since = await self.calls.oldest_start()
            for folders in await on_disk(lambda: list(self._batches())):
                known = await self.calls.known(folder.name for folder in folders)
                for folder in folders:
                    if folder.suffix == _ERASED or (
                        folder.name not in known and await on_disk(_is_later, folder, known_since)
                    ):
                        await self._remove(folder)
                        log.info("recording.swept", call_id=folder.stem)
        except (OSError, StorageError) as error:
            log.error("recordings.not_swept", error=type(error).__name__)

    def _batches(self) -> Iterator[list[Path]]:
        folders = [path for path in self._recordings.iterdir() if path.is_dir()] if self._recordings.is_dir() else []
        yield from (folders[first : first + _FOLDERS_AT_ONCE] for first in range(0, len(folders), _FOLDERS_AT_ONCE))

    async def _remove(self, folder: Path) -> None:
        try:
            await on_disk(_remove, folder)
        except OSError as error:
            raise StorageError(f"the recording cannot be removed: {error.strerror}") from error


def _remove(folder: Path) -> None:
    doomed = folder if folder.suffix == _ERASED else folder.with_name(folder.name + _ERASED)
    if doomed.exists():
        shutil.rmtree(doomed)
    if folder.exists():
        folder.rename(doomed)
        shutil.rmtree(doomed)


def _is_later(folder: Path, moment: str | None) -> bool:
    """Whether the folder was written after the moment. An older one may belong to an earlier database."""
    return moment is not None and iso_from_epoch(folder.stat().st_mtime) > moment
