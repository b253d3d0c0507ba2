"""Writes the journal of one call, in the process that owns it."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog

from app.calls.live.call_clock import CallClock
from app.conversation import events as ev
from app.errors import StorageError
from app.journal.analysis import wants_analysis
from app.journal.record import CallRecord, call_record
from app.journal.redacted import RowRedactor
from app.journal.wordless import without_words
from app.models import JournalRow
from app.ports.services import CallEnding, CallLeg, Journal
from app.redaction.finder import Finder

log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS = 1.0


class CallLog:
    """Numbers the rows, appends them to the journal, and sends them to a leg that asked for them."""

    def __init__(
        self,
        call_id: str,
        fence: int,
        journal: Journal,
        leg: CallLeg,
        clock: CallClock,
        finder: Finder | None = None,
        rows: Sequence[JournalRow] = (),
    ) -> None:
        """``finder`` finds what must not be in any row. ``rows`` are the rows of earlier owners."""
        self._call_id = call_id
        self._fence = fence
        self._journal = journal
        self._leg = leg
        self._clock = clock
        self._redactor = RowRedactor(finder) if finder is not None else None
        self._rows = list(rows)
        self._record: tuple[int, CallRecord] | None = None
        """The record, with the number of rows it was made from."""

    def __repr__(self) -> str:
        return f"<CallLog {len(self._rows)} rows>"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[JournalRow]:
        """The journal so far."""
        return self._rows

    @property
    def is_ended(self) -> bool:
        """Whether the terminal row is written."""
        return bool(self._rows) and self._rows[-1].type == ev.CallEnded.type

    @property
    def record(self) -> CallRecord:
        """The record of the call so far. Computed only once while no row is added."""
        if self._record is None or self._record[0] != len(self._rows):
            self._record = len(self._rows), call_record(self._rows)
        return self._record[1]

    def write(self, event: ev.Event, t: float, turn: int | None) -> None:
        """Append the row of an event. Never waits."""
        row = self._row(event, t, turn)
        ending = self._ending(t) if isinstance(event, ev.CallEnded) else None
        try:
            self._journal.append(self._call_id, self._fence, row, ending)
        except BaseException:
            self._rows.pop()  # its number is free again
            self._record = None
            raise
        if self._leg.wants_events:
            self._leg.send_event(asdict(row))

    async def commit(self, patience: float) -> bool:
        """Wait until every row so far is committed, for ``patience`` seconds at most. Raises OwnershipLost.

        A slow or failing database does not end the call: the journal retries the rows while the call goes on. The
        result is False while it does.
        """
        try:
            async with asyncio.timeout(patience):
                await self._journal.flush(self._call_id)
        except TimeoutError:
            log.warning("journal.behind", waited_seconds=patience)
            return False
        except StorageError as error:
            log.error("journal.behind", error=str(error))
            return not error.retryable
        return True

    async def committed(self) -> None:
        """Return when every row so far is committed, or never will be. Raises OwnershipLost."""
        while True:
            try:
                await self._journal.flush(self._call_id)
            except StorageError as error:
                if error.retryable:
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                    continue
            return

    def _row(self, event: ev.Event, t: float, turn: int | None) -> JournalRow:
        data = self._stored(event)
        row = JournalRow(len(self._rows) + 1, self._clock.wall(t), t, event.type, turn, ev.VERSION, data)
        self._rows.append(row)
        return row

    def _stored(self, event: ev.Event) -> dict[str, Any]:
        """What of the event may be stored. A bug in what decides that costs words, not the call."""
        data = ev.row_data(event)
        if self._redactor is None:
            return data
        try:
            return self._redactor.redacted(event.type, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the row must be written
            log.error("redaction.failed", call_id=self._call_id, type=event.type, error=type(error).__name__)
            return without_words(event.type, data)

    def _ending(self, t: float) -> CallEnding:
        record = self.record
        return CallEnding(
            ended_at=self._clock.wall(t),
            duration_seconds=record.duration_seconds,
            end_reason=record.end_reason or "internal_error",
            fault=record.fault,
            language=record.language,
            summary=record.summary(),
            said=record.said(),
            is_analysed=wants_analysis(self._rows),
            answers=record.answers(),
        )
