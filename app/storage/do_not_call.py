"""The numbers that nobody calls again. They stay when the calls are erased: they are what the callers asked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, select

from app.clock import iso_utc
from app.storage.database import Database
from app.storage.dialects.statements import insert_new
from app.storage.ringing import hang_up_what_rings
from app.storage.schema import do_not_call

Source = Literal["operator", "caller"]
"""Who had the number put on the list."""


@dataclass(frozen=True, slots=True)
class ListedNumber:
    """An entry of the list."""

    number: str
    """In E.164: ``+`` and digits."""
    added_at: str
    added_by: str


class DoNotCallStore:
    """The list. Every method may raise StorageError. Numbers are in E.164."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, number: str, by: Source, now: datetime) -> ListedNumber:
        """Put the number on the list, and return its entry, which may be older.

        Calls to it that have been placed and not been answered are hung up.
        """
        entry = ListedNumber(number, iso_utc(now), by)

        def write(connection: Connection) -> ListedNumber:
            row = {"number": number, "added_at": entry.added_at, "added_by": by}
            is_new = insert_new(connection, do_not_call, row)
            hang_up_what_rings(entry.added_at, connection, number)
            return entry if is_new else _find(connection, number) or entry

        return await self._database.write(write)

    async def remove(self, number: str) -> bool:
        """Take the number off the list. Returns whether it was there."""
        statement = delete(do_not_call).where(do_not_call.c.number == number)
        return bool(await self._database.write(lambda connection: connection.execute(statement).rowcount))

    async def page(self, *, limit: int, after: str = "") -> list[ListedNumber]:
        """Up to ``limit`` entries in the order of their numbers, after that number."""
        statement = select(do_not_call).where(do_not_call.c.number > after).order_by(do_not_call.c.number).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [ListedNumber(row.number, row.added_at, row.added_by) for row in rows]


def is_listed(connection: Connection, number: str) -> bool:
    """Whether the number is on the list, as part of a larger transaction."""
    return _find(connection, number) is not None


def _find(connection: Connection, number: str) -> ListedNumber | None:
    row = connection.execute(select(do_not_call).where(do_not_call.c.number == number)).one_or_none()
    return None if row is None else ListedNumber(row.number, row.added_at, row.added_by)
