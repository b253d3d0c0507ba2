"""Looks up one call from outside the service, read-only, while the service may be running."""

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, select

from app.journal.seal import SealedRow
from app.models import JournalRow
from app.storage.call_lists import CallFilter
from app.storage.calls import CallRow, list_rows
from app.storage.database import look
from app.storage.journal_reader import ROW, journal_row
from app.storage.outbox import Delivery
from app.storage.schema import calls, erased_calls, journal, webhook_deliveries


def look_up(url: str, call_id: str) -> tuple[CallRow, list[JournalRow]] | None:
    """The call and its committed journal rows; None when there is no such call. Writes nothing.

    ``url`` is SQLAlchemy's. Raises StorageError.
    """

    def work(connection: Connection) -> tuple[CallRow, list[JournalRow]] | None:
        found = connection.execute(select(calls).where(calls.c.call_id == call_id)).one_or_none()
        if found is None:
            return None
        rows = connection.execute(select(*ROW).where(journal.c.call_id == call_id).order_by(journal.c.seq))
        return CallRow(**found._mapping), [journal_row(*columns) for columns in rows]

    return look(url, work)


def find_calls(url: str, wanted: CallFilter, limit: int) -> list[CallRow]:
    """Up to ``limit`` calls, newest first. ``url`` is SQLAlchemy's. Writes nothing. Raises StorageError."""
    return look(url, partial(list_rows, wanted, limit, None))


def sent_webhooks(url: str, call_id: str) -> list[Delivery]:
    """The webhooks that report a call, in their order. ``url`` is SQLAlchemy's. Raises StorageError."""
    wanted = select(webhook_deliveries).where(webhook_deliveries.c.call_id == call_id)
    in_order = wanted.order_by(webhook_deliveries.c.delivery_id)
    return look(url, lambda connection: [Delivery(**row._mapping) for row in connection.execute(in_order)])


@dataclass(frozen=True, slots=True)
class SealedCall:
    """What is needed to check the seal of a call. Without ``status`` there is no such call any more."""

    status: str | None
    seal: str | None
    erased_at: str | None
    rows: list[SealedRow]
    erased_by: str | None = None
    """``request`` or ``retention``."""
    words_erased_at: str | None = None
    is_being_erased: bool = False
    """Whether some words are still to be erased."""


def look_up_sealed(url: str, call_id: str) -> SealedCall | None:
    """The rows of a call as they are stored, or what is kept of an erased one; None when there never was such a call.

    ``url`` is SQLAlchemy's. Writes nothing. Raises StorageError.
    """

    def work(connection: Connection) -> SealedCall | None:
        about = (calls.c.status, calls.c.seal, calls.c.words_erased_at, calls.c.words_left_from)
        found = connection.execute(select(*about).where(calls.c.call_id == call_id)).one_or_none()
        if found is None:
            kept = select(erased_calls).where(erased_calls.c.call_id == call_id)
            erased = connection.execute(kept).one_or_none()
            return None if erased is None else SealedCall(None, erased.seal, erased.erased_at, [], erased.erased_by)
        sealed = (
            select(*ROW, journal.c.hash, journal.c.salt, journal.c.data_hash)
            .where(journal.c.call_id == call_id)
            .order_by(journal.c.seq)
        )
        rows = [SealedRow._make(columns) for columns in connection.execute(sealed)]
        is_left = found.words_left_from is not None
        return SealedCall(found.status, found.seal, None, rows, None, found.words_erased_at, is_left)

    return look(url, work)
