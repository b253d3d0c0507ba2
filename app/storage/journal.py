"""Writes the journal of every call: rows are appended without waiting and committed in groups."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog

from app.backoff import Backoff
from app.errors import OwnershipLost, StorageError, VoiceAgentError
from app.models import JournalRow
from app.observability.listeners import Listeners
from app.ports.services import CallEnding
from app.service_loops import ServiceLoop
from app.storage.backlog import Backlog, WaitingRow
from app.storage.database import Database
from app.storage.journal_rows import Group, LostRows, write_group
from app.storage.schema import encode_json
from app.storage.spool import Spool
from app.storage.unsaved import LAST_TYPE, UnsavedEnds
from app.storage.waiting import set_within

log = structlog.get_logger(__name__)

_GROUP_SECONDS = 0.05
_GROUP_ROWS = 2000
_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0)
_REFILLED_ROWS = 500
"""Of a call, from the disk, at a time."""
_FAILURES_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why some rows of a call are not in the journal."""

    error: type[VoiceAgentError]
    message: str
    fence: int


class JournalWriter:
    """Writes the journals of all calls of this process.

    Loop ``journal.writer`` commits waiting rows 50 ms after the first one was appended, or at once on a flush. It ends
    in :meth:`close`. Rows that could not be committed are tried again, in order; :class:`Backlog` bounds how many wait.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_committed: Callable[[str], None] | None = None,
        on_lost: Callable[[str], None] | None = None,
        backlog: Backlog | None = None,
        unsaved: UnsavedEnds | None = None,
        spool: Spool | None = None,
        flush_seconds: float = 5.0,
    ) -> None:
        """Create it in a running loop.

        ``on_committed`` is called for each call with new rows, ``on_lost`` once for each call that another owns.
        """
        self._database = database
        self.on_committed = Listeners("journal.committed", on_committed)
        self.on_lost = Listeners("journal.lost", on_lost)
        self.on_ended = Listeners[[str]]("journal.ended")
        """Called with each call whose last row this process has committed."""
        self.on_written = Listeners[[float]]("journal.written")
        """Called after each committed group with the seconds its commit took."""
        self._spool = spool
        self._backlog = Backlog(disk=spool) if backlog is None else backlog
        self._unsaved = unsaved
        self._kept: set[str] = set()
        """Calls whose ends are kept in files."""
        self._flush_seconds = flush_seconds
        self._failures: dict[str, _Failure] = {}
        self._flushers: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._rows_wait = asyncio.Event()
        self._commit_asked = asyncio.Event()
        self._closed = False
        self._failing = False
        self.lost_rows = 0
        """How many appended rows will never be in the journal."""
        self._delay = _GROUP_SECONDS
        self._failed_commits = 0
        self._commit_began: float | None = None
        self.loop = ServiceLoop("journal.writer", self._commit_next, part="storage", is_vital=True, steady_seconds=1.0)

    def __repr__(self) -> str:
        state = "failing" if self._failing else "closed" if self._closed else "open"
        return f"<JournalWriter {state}, {len(self._backlog)} rows waiting, {self.lost_rows} lost>"

    @property
    def waiting_rows(self) -> int:
        """How many rows are not committed yet."""
        return len(self._backlog)

    @property
    def is_failing(self) -> bool:
        """Whether the last commit failed; it is being retried."""
        return self._failing

    @property
    def commit_seconds(self) -> float:
        """How long the commit that is running has taken so far; 0 when none is."""
        return 0.0 if self._commit_began is None else asyncio.get_running_loop().time() - self._commit_began

    async def close(self) -> None:
        """Commit waiting rows for at most 5 s, then stop; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._flush_seconds):
                    for call_id in list(self._backlog):
                        with suppress(VoiceAgentError):
                            await self.flush(call_id)
        await self.loop.stop()
        if len(self._backlog):
            log.error("journal.rows_abandoned", rows=len(self._backlog))

    def append(self, call_id: str, fence: int, row: JournalRow, ending: CallEnding | None = None) -> None:
        """Queue a row to be committed soon; never waits.

        The call's last row, ``call.ended``, comes with an ``ending``, which marks the call as ended in the same
        transaction; rows after it are dropped. Raises ValueError when one comes without the other, StorageError when
        the row's data is not JSON or the journal is closed.
        """
        if (row.type == LAST_TYPE) is (ending is None):
            raise ValueError(f"a row {LAST_TYPE} and an ending come together")
        if self._closed:
            raise StorageError("the journal is closed")
        try:
            data = encode_json(row.data)
        except (TypeError, ValueError, RecursionError) as error:
            raise StorageError(f"a row of type {row.type} holds what is not JSON") from error
        if self._failures:
            self._forget_older_failure(call_id, fence)
        if self._backlog.add(call_id, WaitingRow(fence, row, data, ending)):
            self._rows_wait.set()
            if ending is not None and self._unsaved is not None:
                self._keep_end(call_id, self._unsaved)
        else:
            self._drop(call_id, fence, row.type)

    def _keep_end(self, call_id: str, unsaved: UnsavedEnds) -> None:
        """Keep the end of a call in its file, unless the outage is so long that its rows wait on disk already."""
        rows = self._backlog.rows(call_id)
        if rows and rows[-1].ending is not None:
            self._kept.add(call_id)
            unsaved.keep(call_id, rows)

    async def flush(self, call_id: str) -> None:
        """Commit at once; returns when all rows appended so far for the call are committed.

        Raises OwnershipLost, and StorageError when 5 s pass without a commit (the rows are still retried) or when rows
        of the call were lost.
        """
        mark = self._backlog.mark(call_id)
        if mark is not None:
            with self._flusher(call_id, mark) as settled:
                self._commit_asked.set()
                try:
                    async with asyncio.timeout(self._flush_seconds):
                        await settled
                except TimeoutError:
                    raise StorageError("the journal could not be committed in time") from None
        failure = self._failures.get(call_id)
        if failure is not None:
            error = failure.error(failure.message)
            error.retryable = False  # the rows will never be there
            raise error

    def waiting(self) -> list[str]:
        """The calls with uncommitted rows."""
        return list(self._backlog)

    # Committing

    async def _commit_next(self) -> None:
        """Wait for rows, and try to commit the next group."""
        await self._rows_wait.wait()
        await set_within(self._commit_asked, self._delay)
        self._commit_asked.clear()
        self._commit_began = asyncio.get_running_loop().time()
        try:
            await self._refill()
            is_settled = await self._commit(self._backlog.group(_GROUP_ROWS))
            took = self.commit_seconds
        finally:
            self._commit_began = None
        if is_settled:
            self.on_written(took)
            self._note_recovery()
            self._failed_commits = 0
            self._delay = 0.0 if len(self._backlog) >= _GROUP_ROWS else _GROUP_SECONDS
        else:
            self._failed_commits += 1
            self._delay = _BACKOFF.delay(self._failed_commits)
        if not len(self._backlog):
            self._rows_wait.clear()
            self._commit_asked.clear()

    async def _refill(self) -> None:
        """Bring rows back from the disk, where there is room for them."""
        if self._spool is None:
            return
        for call_id, spooled in self._backlog.spooled(_REFILLED_ROWS).items():
            wanted = min(spooled, _REFILLED_ROWS)
            rows = await self._spool.take(call_id, wanted)
            missing = wanted - len(rows)
            self._backlog.refill(call_id, rows, missing)
            if missing:
                self.lost_rows += missing
                fence = rows[-1].fence if rows else 0
                self._fail(call_id, _Failure(StorageError, "rows of the call were lost on the disk", fence))
                log.error("journal.rows_lost", call_id=call_id, waiting=len(self._backlog))

    async def _commit(self, group: Group) -> bool:
        """Commit a group; True when it is settled. A row that the database refuses affects only its own call."""
        lost: dict[str, LostRows] = {}
        try:
            lost = await self._database.write(partial(write_group, group))
        except Exception as error:  # noqa: BLE001 - a bug here must not stop the journals of all calls
            if isinstance(error, StorageError) and error.retryable:
                self._note_outage(error)
                return False
            parts = _parts(group)
            if len(parts) > 1:
                return await self._commit_apart(parts)
            self._note_refused(group, error)
        for call_id, rows in group.items():
            self._settle(call_id, rows, lost.get(call_id))
        return True

    async def _commit_apart(self, parts: list[Group]) -> bool:
        for part in parts:
            if not await self._commit(part):
                return False
        return True

    def _settle(self, call_id: str, rows: list[WaitingRow], lost: LostRows | None) -> None:
        if lost is not None:
            self.lost_rows += lost.rows
            if lost.owner_changed:
                self._note_lost_call(call_id, rows[-1].fence)
        self._backlog.settle(call_id, len(rows))
        if self._unsaved is not None and call_id in self._kept and not self._backlog.has_ended(call_id):
            self._kept.remove(call_id)
            self._unsaved.forget(call_id)
        for mark, settled in self._flushers.get(call_id, ()):
            if not settled.done() and self._backlog.settled(call_id, mark):
                settled.set_result(None)
        self.on_committed(call_id)
        self._database.wakeups.rows_committed(call_id)
        if lost is None and rows[-1].ending is not None:
            self.on_ended(call_id)

    # Failures

    def _drop(self, call_id: str, fence: int, row_type: str) -> None:
        """Count a row for which the backlog had no room."""
        self.lost_rows += 1
        if self._backlog.has_ended(call_id):
            log.debug("journal.row_late", call_id=call_id, type=row_type)
        elif self._fail(call_id, _Failure(StorageError, "rows of the call were lost: too many waited", fence)):
            log.error("journal.rows_lost", call_id=call_id, waiting=len(self._backlog))

    def _fail(self, call_id: str, failure: _Failure) -> bool:
        """Record why flushes of the call fail from now on; False when a failure or a lost owner is known already."""
        known = self._failures.get(call_id)
        if known is not None and known.error in (OwnershipLost, failure.error):
            return False
        self._failures[call_id] = failure
        if len(self._failures) > _FAILURES_KEPT:
            del self._failures[next(iter(self._failures))]
        return True

    def _forget_older_failure(self, call_id: str, fence: int) -> None:
        """Forget the failure of an earlier ownership: the process owns the call again, with a new fence."""
        failure = self._failures.get(call_id)
        if failure is not None and failure.fence < fence:
            del self._failures[call_id]

    def _note_lost_call(self, call_id: str, fence: int) -> None:
        if not self._fail(call_id, _Failure(OwnershipLost, "another process owns the call now", fence)):
            return
        log.warning("journal.ownership_lost", call_id=call_id, fence=fence)
        self.on_lost(call_id)

    def _note_refused(self, group: Group, error: Exception) -> None:
        for call_id, rows in group.items():
            self.lost_rows += len(rows)
            self._fail(call_id, _Failure(StorageError, "a row of the call was refused", rows[-1].fence))
            reason = str(error) if isinstance(error, StorageError) else type(error).__name__
            log.error("journal.row_refused", call_id=call_id, type=rows[0].row.type, error=reason)

    def _note_outage(self, error: StorageError) -> None:
        if not self._failing:
            self._failing = True
            log.error("journal.commit_failed", rows=len(self._backlog), error=str(error))

    def _note_recovery(self) -> None:
        if self._failing:
            self._failing = False
            log.info("journal.commit_resumed", rows=len(self._backlog))

    @contextmanager
    def _flusher(self, call_id: str, mark: int) -> Iterator[asyncio.Future[None]]:
        flusher = (mark, asyncio.get_running_loop().create_future())
        self._flushers.setdefault(call_id, []).append(flusher)
        try:
            yield flusher[1]
        finally:
            self._flushers[call_id].remove(flusher)
            if not self._flushers[call_id]:
                del self._flushers[call_id]


def _parts(group: Group) -> list[Group]:
    """Split a group into one part per call, and a group of one call into one part per row."""
    if len(group) > 1:
        return [{call_id: rows} for call_id, rows in group.items()]
    return [{call_id: [row]} for call_id, rows in group.items() for row in rows]
