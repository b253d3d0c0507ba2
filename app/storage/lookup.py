"""Looks up one call from outside the service, read-only, while the service may be running."""

from sqlalchemy import select

from app.models import JournalRow
from app.storage.calls import CallRow
from app.storage.database import read_only
from app.storage.journal_reader import journal_row
from app.storage.schema import calls, journal


def look_up(url: str, call_id: str) -> tuple[CallRow, list[JournalRow]] | None:
    """The call and its committed journal rows; None when there is no such call. Writes nothing.

    ``url`` is SQLAlchemy's. Raises StorageError.
    """
    with read_only(url) as connection:
        found = connection.execute(select(calls).where(calls.c.call_id == call_id)).one_or_none()
        if found is None:
            return None
        rows = connection.execute(select(journal).where(journal.c.call_id == call_id).order_by(journal.c.seq))
        return CallRow(**found._mapping), [journal_row(*columns) for _, *columns in rows]
