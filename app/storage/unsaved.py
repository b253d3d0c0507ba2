"""The ends of calls that the database has not taken yet, in files: they outlive a process that dies meanwhile.

A call that has ended is over for its caller and its operator, though another program may lock the database for many
seconds. Each such call has one file in the folder until its rows are committed, a few milliseconds with a healthy
database. The code that ends the calls of a dead process reads it first.
"""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from app.models import JournalRow
from app.ports.services import CallEnding
from app.storage.backlog import WaitingRow
from app.storage.schema import encode_json

log = structlog.get_logger(__name__)

LAST_TYPE = "call.ended"
"""The type of the last row of every journal."""
_FILE, _DRAFT = ".json", ".draft"
"""Suffixes of a file, and of one that is being written."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class UnsavedEnd:
    """What a call's owner could not commit: rows up to the last one, and how the call ended."""

    rows: list[JournalRow]
    ending: CallEnding


class UnsavedEnds:
    """One file for each call in ``folder``, readable by the owner only. A thread of its own reads and writes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "journal.unsaved")

    def __repr__(self) -> str:
        return f"<UnsavedEnds in {self._folder}>"

    def keep(self, call_id: str, rows: Sequence[WaitingRow]) -> None:
        """Write the rows of a call, the last of which has its ending, into its file soon. Never waits."""
        self._soon(lambda: self._write(call_id, rows))

    def forget(self, call_id: str) -> None:
        """Remove the file of a call soon, if there is one. Never waits."""
        self._soon(lambda: self._remove(call_id))

    async def read(self, call_id: str) -> UnsavedEnd | None:
        """What the file of a call says; None without a file, or with one that cannot be read."""
        return await self._in_thread(lambda: self._read(call_id))

    async def call_ids(self) -> list[str]:
        """The calls that have a file, even one that is not complete because its process died."""
        return await self._in_thread(
            lambda: sorted({path.stem for kind in (_FILE, _DRAFT) for path in self._folder.glob(f"*{kind}")})
        )

    async def remove(self, call_id: str) -> None:
        """Remove the file of a call. Raises OSError."""
        await self._in_thread(lambda: self._remove(call_id))

    def close(self) -> None:
        """Finish what was begun. A thread that a stalled volume blocks is abandoned."""
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _soon(self, work: Callable[[], None]) -> None:
        def done() -> None:
            try:
                work()
            except OSError as error:  # the rows still wait for the database
                log.warning("journal.not_spooled", error=error.strerror)

        self._thread.submit(done)

    def _path(self, call_id: str) -> Path:
        return self._folder / f"{call_id}{_FILE}"

    def _remove(self, call_id: str) -> None:
        for kind in (_FILE, _DRAFT):
            self._path(call_id).with_suffix(kind).unlink(missing_ok=True)

    def _write(self, call_id: str, rows: Sequence[WaitingRow]) -> None:
        ending = rows[-1].ending
        if ending is None:
            return
        body = encode_json({"rows": [asdict(waiting.row) for waiting in rows], "ending": asdict(ending)})
        self._folder.mkdir(mode=0o700, exist_ok=True)
        draft = self._path(call_id).with_suffix(_DRAFT)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - a file of its mode
            file.write(body)
            file.flush()
            draft.rename(self._path(call_id))  # first, because what was written outlives the process even unsynced
            os.fsync(file.fileno())

    def _read(self, call_id: str) -> UnsavedEnd | None:
        try:
            kept: dict[str, Any] = json.loads(self._path(call_id).read_bytes())
            rows = [JournalRow(**row) for row in kept["rows"]]
            ending = ending_from(kept["ending"])
            if rows[-1].type != LAST_TYPE:
                raise ValueError("no end of a call")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            log.error("journal.spool_unreadable", call_id=call_id, error=type(error).__name__)
            return None
        return UnsavedEnd(rows, ending)


def ending_from(written: dict[str, Any]) -> CallEnding:
    """How a call ended, as it was written into a file. Raises ValueError, TypeError or AttributeError."""
    said, answers = tuple(map(str, written.get("said", ()))), tuple(map(_latencies, written.get("answers", ())))
    return CallEnding(**{**written, "said": said, "answers": answers})


def _latencies(written: Any) -> dict[str, float]:
    """Raises ValueError, TypeError or AttributeError."""
    return {str(stage): float(seconds) for stage, seconds in written.items()}
