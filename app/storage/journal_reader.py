"""Reads the journal of any call, in pages or live."""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, func, select

from app.errors import StorageError
from app.models import JournalRow
from app.observability.listeners import Listeners
from app.service_loops import ServiceLoop
from app.storage.calls import LIVE
from app.storage.database import Database
from app.storage.schema import calls, decode_object, journal
from app.storage.waiting import set_within

_POLL_SECONDS = 0.25
_POLL_WHEN_TOLD_SECONDS = 1.0
"""The same, while other processes tell of their rows."""
_FOLLOW_AGAIN_POLLS = 10
"""So many polls later, the others are told again which calls are followed here."""
_PAGE_ROWS = 500
_UNREADABLE_TIME = -1.0
"""The time of a row whose time is no number; no row lies before its call."""

_Page = tuple[bool, list[JournalRow]]
"""Whether the call may get more rows, and the rows."""


class JournalReader:
    """Reads committed rows of any process.

    While anybody follows a call, loop ``journal.poller`` checks every 0.25 s whether another process has committed
    rows; it ends in :meth:`close`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.on_ended = Listeners[[str]]("journal.ended")
        """Called with each call whose last row this process has committed."""
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._followed = asyncio.Event()
        self._newest: dict[str, int | None] = {}
        self._commits = 0
        self._polls = 0
        database.wakeups.heard["rows"].add(self.committed)
        self._shared: dict[tuple[str, int, int], asyncio.Future[_Page]] = {}
        self.loop = ServiceLoop("journal.poller", self._poll, part="storage")

    def __repr__(self) -> str:
        return f"<JournalReader {len(self._followers)} calls followed>"

    async def close(self) -> None:
        """Stop polling; calling it again does nothing."""
        await self.loop.stop()

    async def rows(self, call_id: str, after_seq: int = 0) -> list[JournalRow]:
        """The rows with a ``seq`` above ``after_seq``, in order. Raises StorageError.

        Reads in pages, so that the event loop serves live calls in between.
        """
        rows: list[JournalRow] = []
        while True:
            page = await self._database.read(partial(_read_rows, call_id, after_seq))
            rows += page
            if len(page) < _PAGE_ROWS:
                return rows
            after_seq = page[-1].seq

    async def follow(
        self, call_id: str, after_seq: int = 0, *, quiet_seconds: float | None = None
    ) -> AsyncGenerator[list[JournalRow]]:
        """Yield rows as they are committed; ends after the call's last row, or when the call is deleted.

        Yields an empty list after ``quiet_seconds`` without rows; None: never. Raises StorageError.
        """
        with self._following(call_id) as committed:
            live = True
            while live:
                committed.clear()
                live, rows = await self._page(call_id, after_seq)
                if rows:
                    yield rows
                    after_seq = rows[-1].seq
                if len(rows) == _PAGE_ROWS:
                    live = True  # or at least there may be more rows to read
                elif live and not await set_within(committed, quiet_seconds):
                    yield []

    async def _page(self, call_id: str, after_seq: int) -> _Page:
        """Read a page; followers at the same position share one read until something is committed."""
        place = call_id, after_seq, self._commits
        shared = self._shared.get(place)
        if shared is None:
            shared = self._shared[place] = self._database.reading(partial(_read_page, call_id, after_seq))
            shared.add_done_callback(lambda _done: self._shared.pop(place))
        return await asyncio.shield(shared)

    def committed(self, call_id: str) -> None:
        """Wake the call's followers: this process has committed rows of the call."""
        self._commits += 1
        for event in self._followers.get(call_id, ()):
            event.set()

    async def _poll(self) -> None:
        await self._followed.wait()
        wakeups = self._database.wakeups
        await asyncio.sleep(wakeups.poll_seconds(_POLL_SECONDS, _POLL_WHEN_TOLD_SECONDS))
        followed = list(self._followers)
        self._polls += 1
        if self._polls % _FOLLOW_AGAIN_POLLS == 0:
            for call_id in followed:
                wakeups.tell("follow", call_id)
        try:
            newest = await self._database.read(partial(_newest_rows, followed))
        except StorageError:
            newest = {}  # the followers read for themselves and get the error
        for call_id in followed:
            if call_id not in newest or newest[call_id] != self._newest.get(call_id):
                self.committed(call_id)
        self._newest = newest

    @contextmanager
    def _following(self, call_id: str) -> Iterator[asyncio.Event]:
        committed = asyncio.Event()
        self._followers.setdefault(call_id, set()).add(committed)
        self._database.wakeups.tell("follow", call_id)
        self._followed.set()
        try:
            yield committed
        finally:
            self._followers[call_id].discard(committed)
            if not self._followers[call_id]:
                del self._followers[call_id]
            if not self._followers:
                self._followed.clear()


ROW = tuple(journal.c[name] for name in ("seq", "at", "t", "type", "turn", "v", "data"))
"""The columns that :func:`journal_row` takes."""


def _read_rows(call_id: str, after_seq: int, connection: Connection) -> list[JournalRow]:
    statement = (
        select(*ROW)
        .where(journal.c.call_id == call_id, journal.c.seq > after_seq)
        .order_by(journal.c.seq)
        .limit(_PAGE_ROWS)
    )
    return [journal_row(*columns) for columns in connection.execute(statement)]


def journal_row(seq: int, at: object, t: object, kind: object, turn: object, v: object, data: object) -> JournalRow:
    """A row whose columns have their types, whatever another program wrote: SQLite keeps any value in any column."""
    return JournalRow(
        seq,
        at if isinstance(at, str) else "",
        t if isinstance(t, int | float) and abs(t) < math.inf else _UNREADABLE_TIME,
        kind if isinstance(kind, str) else "",
        turn if isinstance(turn, int) else None,
        v if isinstance(v, int) else 0,
        decode_object(data),
    )


def _read_page(call_id: str, after_seq: int, connection: Connection) -> _Page:
    """Read the status first, then the rows: if the call has ended, its last row is among them or before them."""
    status = connection.execute(select(calls.c.status).where(calls.c.call_id == call_id)).scalar_one_or_none()
    return status in LIVE, _read_rows(call_id, after_seq, connection)


def _newest_rows(call_ids: list[str], connection: Connection) -> dict[str, int | None]:
    """The highest ``seq`` of each call; deleted calls are missing."""
    highest = select(func.max(journal.c.seq)).where(journal.c.call_id == calls.c.call_id).scalar_subquery()
    statement = select(calls.c.call_id, highest.label("newest")).where(calls.c.call_id.in_(call_ids))
    return {row.call_id: row.newest for row in connection.execute(statement)}
