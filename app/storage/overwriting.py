"""Overwrites rows where they stand, before they are deleted.

With ``secure_delete``, SQLite writes zeros over what it deletes. But while it deletes, it moves other rows between
pages, and copies of them may stay in the unused part of a page. So a row must hold nothing any more before that.
"""

from sqlalchemy import ColumnElement, Connection, LargeBinary, cast, func, literal, update

from app.storage.dialects.statements import is_postgres
from app.storage.schema import journal


def overwrite_rows(connection: Connection, which: ColumnElement[bool]) -> None:
    """Replace the ``data`` of these rows by an empty object of the same length, which takes the same place.

    Postgres writes a changed row elsewhere, so there it would only be one more copy: its vacuum frees what was deleted.
    """
    if is_postgres(connection):
        return
    between = func.length(cast(journal.c.data, LargeBinary)) - 2
    blank = literal("{").concat(func.printf("%*s", between, "")).concat("}")
    connection.execute(update(journal).where(which).values(data=blank))
