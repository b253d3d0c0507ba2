"""Which ended calls have parts that are older than they may be, and the erasure of their words."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, insert, or_, select, tuple_, update

from app.clock import iso_utc
from app.journal.seal import data_hash
from app.journal.wordless import has_words, without_words
from app.models import Retention
from app.storage.call_words import erase_words
from app.storage.database import Database
from app.storage.outbox import emit
from app.storage.overwriting import overwrite_rows
from app.storage.schema import (
    analysis_jobs,
    call_outcomes,
    call_requests,
    calls,
    decode_object,
    encode_json,
    journal,
    webhook_deliveries,
)

_ROWS_AT_ONCE = 500
"""Rows of a journal in one transaction: live calls wait for it, for 20 ms of CPU."""
_SHORTEST = timedelta(days=1)
_TOO_LATE = "the words of the call were erased before it was analysed"


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that has ended, and what of it is too old."""

    call_id: str
    ended_at: str
    recording_is_due: bool
    words_are_due: bool
    call_is_due: bool
    """The whole call. Not while webhooks of it are still to be delivered, or it is still to be analysed."""


class RetentionStore:
    """Finds what is too old. Every method may raise StorageError."""

    def __init__(self, database: Database, *, rows_at_once: int = _ROWS_AT_ONCE) -> None:
        """``rows_at_once`` is how many rows of a journal are erased in one transaction."""
        self._database = database
        self._rows_at_once = rows_at_once

    async def ended(
        self, usual: Retention, now: datetime, *, after: EndedCall | None, limit: int
    ) -> tuple[list[EndedCall], EndedCall | None]:
        """A page of ended calls, oldest end first: those with something due, and the last one that was looked at.

        ``usual`` holds for calls whose agent has set nothing. ``after`` is the last of the page before; a page whose
        last one is None is beyond the end.
        """
        return await self._database.read(partial(_ended, usual, now, after, limit))

    async def recording_erased(self, call_id: str, now: datetime) -> None:
        """Note that the recording of the call is erased."""
        noted = update(calls).where(calls.c.call_id == call_id).values(recording_erased_at=iso_utc(now))
        await self._database.write(lambda connection: connection.execute(noted))

    async def erase_words(self, call_id: str, now: datetime) -> bool:
        """Erase the words of some rows, the first time also those beside the journal. False if some are left.

        An analysis that is not done has failed with that. Live calls and calls that are gone are left alone.
        """
        return await self._database.write(partial(_erase_words, call_id, iso_utc(now), self._rows_at_once))


def _ended(
    usual: Retention, now: datetime, after: EndedCall | None, limit: int, connection: Connection
) -> tuple[list[EndedCall], EndedCall | None]:
    is_waiting = (webhook_deliveries.c.call_id == calls.c.call_id, webhook_deliveries.c.status == "pending")
    pending = or_(exists().where(*is_waiting), exists().where(analysis_jobs.c.call_id == calls.c.call_id))
    columns = ("call_id", "ended_at", "recording", "retention")
    erased = ("recording_erased_at", "words_erased_at", "words_left_from")
    page = (
        select(*(calls.c[name] for name in (*columns, *erased)), pending.label("has_pending"))
        .where(calls.c.status == "ended", calls.c.ended_at <= iso_utc(now - _SHORTEST))
        .order_by(calls.c.ended_at, calls.c.call_id)
        .limit(limit)
    )
    if not usual:
        page = page.where(calls.c.retention.is_not(None))
    if after is not None:
        page = page.where(tuple_(calls.c.ended_at, calls.c.call_id) > (after.ended_at, after.call_id))
    found = [_due(row, usual, now) for row in connection.execute(page)]
    due = [call for call in found if call.recording_is_due or call.words_are_due or call.call_is_due]
    return due, found[-1] if found else None


def _due(row: Any, usual: Retention, now: datetime) -> EndedCall:
    kept = usual.with_own(row.retention)

    def is_over(days: int | None) -> bool:
        return bool(days) and row.ended_at <= iso_utc(now - timedelta(days=days or 0))

    is_call_due = is_over(kept.call_days)
    has_words_left = row.words_erased_at is None or row.words_left_from is not None
    return EndedCall(
        row.call_id,
        row.ended_at,
        recording_is_due=(is_call_due or is_over(kept.recording_days))
        and bool(row.recording)
        and row.recording_erased_at is None,
        words_are_due=(is_call_due or is_over(kept.transcript_days)) and has_words_left,
        call_is_due=is_call_due and not row.has_pending,
    )


def _erase_words(call_id: str, now: str, rows_at_once: int, connection: Connection) -> bool:
    about = select(calls).where(calls.c.call_id == call_id, calls.c.status == "ended")
    call = connection.execute(about.with_for_update()).one_or_none()
    if call is None:
        return True
    if call.words_erased_at is None:
        _erase_beside_the_journal(call, now, connection)
        _unseal_if_old(call_id, connection)
    left_from = _erase_rows(call_id, call.words_left_from or 0, rows_at_once, connection)
    erased_at = call.words_erased_at or now
    values = {"words_erased_at": erased_at, "words_left_from": left_from}
    connection.execute(update(calls).where(calls.c.call_id == call_id).values(**values))
    return left_from is None


def _erase_beside_the_journal(call: Row[Any], now: str, connection: Connection) -> None:
    """The words by which the call is found, what came of it, a message that the caller left, and operators' texts."""
    call_id = call.call_id
    erase_words(connection, call_id)
    connection.execute(delete(call_outcomes).where(call_outcomes.c.call_id == call_id))
    connection.execute(delete(call_requests).where(call_requests.c.call_id == call_id))
    analysis, is_pending = call.analysis, False
    if analysis is not None:
        analysis = {**analysis, "summary": None, "fields": None, "reason": None}
        ended = delete(analysis_jobs).where(analysis_jobs.c.call_id == call_id)
        is_pending = connection.execute(ended).rowcount > 0
        if is_pending:
            analysis |= {"status": "failed", "reason": _TOO_LATE}
    summary = call.summary
    if summary is not None and isinstance(summary.get("message"), dict):
        summary = {**summary, "message": {**summary["message"], "text": ""}}
    values = {"analysis": analysis, "summary": summary, "words_id": None}
    connection.execute(update(calls).where(calls.c.call_id == call_id).values(**values))
    if is_pending:
        emit(connection, call_id, "call.analyzed", now)


def _unseal_if_old(call_id: str, connection: Connection) -> None:
    """Take the hashes from a call that a version without salts wrote: short words could be found by trying."""
    of_call = journal.c.call_id == call_id
    bare = select(journal.c.type).where(of_call, journal.c.hash.is_not(None), journal.c.salt.is_(None)).distinct()
    if any(map(has_words, connection.execute(bare).scalars())):
        connection.execute(update(journal).where(of_call).values(hash=None, salt=None))


def _erase_rows(call_id: str, first: int, limit: int, connection: Connection) -> int | None:
    """Erase the words of the next rows; returns the first row that may still have some, or None.

    The rows are deleted and inserted anew: when SQLite splits a page, copies of rows stay in the unused part of it, and
    an update leaves such a page as it is.
    """
    some = (
        select(journal).where(journal.c.call_id == call_id, journal.c.seq >= first).order_by(journal.c.seq).limit(limit)
    )
    rows = connection.execute(some).all()
    if not rows:
        return None
    last: int = rows[-1].seq
    these = and_(journal.c.call_id == call_id, journal.c.seq.between(first, last))
    overwrite_rows(connection, these)
    connection.execute(delete(journal).where(these))
    connection.execute(insert(journal), [{**row._mapping, **_wordless(row)} for row in rows])
    return None if len(rows) < limit else last + 1


def _wordless(row: Any) -> dict[str, Any]:
    if not has_words(row.type) or row.data_hash is not None:
        return {}
    return {
        "data": encode_json(without_words(row.type, decode_object(row.data))),
        "data_hash": None if row.salt is None else data_hash(row.salt, row.data),
        "salt": None,
    }
