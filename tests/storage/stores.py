"""A migrated database with the stores on it, and calls and rows to put there."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from app.clock import iso_utc
from app.models import JournalRow
from app.ports.services import CallEnding
from app.storage.backlog import Backlog
from app.storage.calls import CallRow, CallStore
from app.storage.database import Database, migrate
from app.storage.journal import JournalWriter
from app.storage.journal_reader import JournalReader
from app.storage.sessions import MediaSession, SessionStore
from app.storage.spool import Spool
from app.storage.unsaved import UnsavedEnds
from tests.support import databases
from tests.support.databases import change, url_of

START = "2026-11-22T10:00:00.000Z"
END = "2026-11-22T10:01:00.000Z"
ENDING = CallEnding(ended_at=END, duration_seconds=60.0, end_reason="caller_hangup", fault="none")


@dataclass
class Stores:
    """Everything that is opened on one database, as one process has it."""

    path: Path
    database: Database
    calls: CallStore
    sessions: SessionStore
    journal: JournalWriter
    reader: JournalReader
    lost: list[str] = field(default_factory=list)
    """The calls of which the journal said that another process owns them."""


@asynccontextmanager
async def open_stores(
    folder: Path,
    *,
    backlog: Backlog | None = None,
    unsaved: UnsavedEnds | None = None,
    spool: Spool | None = None,
    flush_seconds: float = 5.0,
    **options: Any,
) -> AsyncIterator[Stores]:
    path = folder / "calls.db"
    migrate(url_of(path))
    database = await Database.open(url_of(path), **options)
    database.unmoved_seconds = 0.0  # tests give the times themselves
    reader = JournalReader(database)
    lost: list[str] = []
    journal = JournalWriter(
        database,
        on_committed=reader.committed,
        on_lost=lost.append,
        backlog=backlog,
        unsaved=unsaved,
        spool=spool,
        flush_seconds=flush_seconds,
    )
    try:
        yield Stores(path, database, CallStore(database), SessionStore(database), journal, reader, lost)
    finally:
        await journal.close()
        await reader.close()
        await database.close()


def a_call(call_id: str = "call-1", **columns: Any) -> CallRow:
    given: dict[str, Any] = {
        "kind": "websocket",
        "direction": "web",
        "status": "active",
        "created_at": START,
        "started_at": START,
        "version": "1.2.3",
        "owner": "worker-a",
    }
    return CallRow(call_id=call_id, **(given | columns))


def a_session(
    call_id: str,
    caller: str | None = None,
    metadata: dict[str, Any] | None = None,
    *,
    expires_at: datetime,
    **more: Any,
) -> MediaSession:
    return MediaSession(call_id=call_id, caller=caller, metadata=metadata or {}, expires_at=iso_utc(expires_at), **more)


def a_row(seq: int, row_type: str = "caller.turn_ended", **data: Any) -> JournalRow:
    return JournalRow(seq=seq, at=START, t=seq / 10, type=row_type, turn=1, v=1, data=data)


def last_row(seq: int) -> JournalRow:
    return a_row(seq, "call.ended")


def insert_calls(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write calls as an older version did: the columns that it had, by name."""
    for row in rows:
        marks = ", ".join("?" * len(row))
        change(path, f"INSERT INTO calls ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608 - ours


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[Callable[[], None]]:
    """Another process lets nobody write until the given function is called, or to the end."""
    with databases.locked(path) as release:
        yield release
