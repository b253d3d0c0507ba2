"""Erases calls that have ended: their sound first, then everything else, so that no sound is left without its call.

Task ledger.

``eraser``  removes at the start what interrupted erasures left, then each minute sessions that have expired, and what
            the database's log still holds of erased calls. Ends by cancellation.
"""

import asyncio
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import structlog

from app.clock import iso_from_epoch, utc_now
from app.errors import CallStillLive, StorageError
from app.storage.calls import CallRow, CallStore
from app.storage.disk_threads import on_disk
from app.storage.sessions import SessionStore

log = structlog.get_logger(__name__)

_ERASED = ".erased"
"""A folder is renamed before its files go, so that no half of a recording is ever given out."""
_FOLDERS_AT_ONCE = 500
_PERIOD_SECONDS = 60.0


class CallEraser:
    """``recordings`` holds a folder a call, named with its id."""

    def __init__(self, calls: CallStore, sessions: SessionStore, recordings: Path) -> None:
        self._calls = calls
        self._sessions = sessions
        self._recordings = recordings
        self._is_swept = False

    async def erase(self, call: CallRow) -> None:
        """Leave nothing of the call. Interrupted at any point it can be asked again.

        Raises CallStillLive, CallNotFound when somebody else was faster, StorageError.
        """
        if call.status != "ended":
            raise CallStillLive("the call has not ended yet")
        folder = self._recordings / call.call_id
        await self._remove(folder)
        await self._calls.delete(call.call_id)
        await self._remove(folder)  # what an owner wrote that was late to close it

    async def run(self) -> None:
        """A round: erase what is left over. The first also removes what interrupted erasures left."""
        if not self._is_swept:
            await self.sweep()
            self._is_swept = True
        await self.forget(utc_now())
        await asyncio.sleep(_PERIOD_SECONDS)

    async def forget(self, now: datetime) -> None:
        """Sessions that nobody may use any more, and what was erased while the log was in use. Raises StorageError."""
        await self._sessions.forget_expired(now)
        await self._calls.empty_log()

    async def sweep(self) -> None:
        """Remove what erasures that were cut short have left, and folders of calls that are no more."""
        try:
            known_since = await self._calls.oldest_start()
            for folders in await on_disk(lambda: list(self._batches())):
                known = await self._calls.known(folder.name for folder in folders)
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
    """Whether it was written to after the moment; a database that is younger than a folder knows nothing of it."""
    return moment is not None and iso_from_epoch(folder.stat().st_mtime) > moment
