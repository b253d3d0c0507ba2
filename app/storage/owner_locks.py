"""Shows the processes of one machine which of them are dead, without waiting for a lease to run out.

Every process that carries calls holds a lock (``flock``) on a file with its name. The kernel lets go of it when the
process ends, however it ends. A process that is only stopped, or slow, keeps it. A name without a file belongs to
another machine, or to an older version: there the lease decides.
"""

import fcntl
import os
import re
from pathlib import Path

import structlog

from app.storage.disk_threads import on_disk

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MODE = 0o700


class OwnerLock:
    """The lock of this process. While it cannot be made, others wait for the leases of this process."""

    def __init__(self, folder: Path, owner: str) -> None:
        """Take the lock. ``folder`` is that of all processes with the same calls."""
        self._folder = folder
        self._path = folder / f"{owner}.lock"
        self._file: int | None = None
        try:
            folder.mkdir(mode=_MODE, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("owner.not_locked", error=error.strerror)

    def __repr__(self) -> str:
        return f"<OwnerLock {self._path.name}>"

    async def dead(self, owners: list[str]) -> list[str]:
        """Those of these processes that are certainly dead."""
        return await on_disk(self._dead, owners) if owners else []

    def _dead(self, owners: list[str]) -> list[str]:
        return [owner for owner in owners if _NAME.fullmatch(owner) and _is_free(self._folder / f"{owner}.lock")]

    def forget(self, owner: str) -> None:
        """Remove the file of a process that is dead and owns no call any more."""
        (self._folder / f"{owner}.lock").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the lock: this process carries no call any more."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def _is_free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(file)
