"""What calls may cost and what they have cost today, for all processes together.

A call reserves its own limit in the transaction that inserts it. At its end, what it has cost takes the place of that.
A call whose cost is unknown counts with all that it reserved. Days are UTC days, and a call counts for the day on which
it began. The rows outlive erased calls.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from app.clock import iso_utc, parse_iso
from app.errors import SpendingLimitReached
from app.storage.database import Database
from app.storage.dialects.statements import Lock, hold
from app.storage.schema import spending

_DAY_LETTERS = 10
"""Of an ISO time."""
_KEPT = timedelta(days=2)
_DOLLAR_DIGITS = 6
_NO_AGENT = ""
"""No agent has this name."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call reserves, and the limits of the day that it must fit into; in US dollars, None for no limit."""

    agent: str
    usd: float = 0.0
    day_limit: float | None = None
    agent_day_limit: float | None = None
    """Of the calls of this agent alone."""


@dataclass(frozen=True, slots=True)
class DaySpending:
    """What was spent on a day, in US dollars."""

    day: str
    """The UTC date, ``2026-11-30``."""
    spent_usd: float
    """By the calls that have ended and whose cost is known, and by what belongs to no call."""
    reserved_usd: float
    """By live calls, and by ended ones whose cost is unknown."""
    unknown_calls: int
    """Ended calls whose cost is unknown."""


class SpendingStore:
    """Reads what was spent, and adds what belongs to no call. Calls write theirs in their own transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, usd: float, now: datetime) -> None:
        """Add what belongs to no call and to no agent, in one row for each day. Raises StorageError."""
        await self._database.write(partial(_add, usd, iso_utc(now)[:_DAY_LETTERS]))

    async def of_day(self, now: datetime) -> DaySpending:
        """What was spent on that day. Raises StorageError."""
        return await self._database.read(partial(_of_day, iso_utc(now)[:_DAY_LETTERS]))


def reserve(connection: Connection, call_id: str, reservation: Reservation, started_at: str) -> None:
    """Reserve for a call that begins at that ISO time. Raises SpendingLimitReached."""
    hold(connection, Lock.ADMISSION)
    check_fits(connection, reservation, started_at)
    oldest = iso_utc(parse_iso(started_at) - _KEPT)[:_DAY_LETTERS]
    connection.execute(delete(spending).where(spending.c.day < oldest))
    values = {"agent": reservation.agent, "reserved_usd": reservation.usd, "ended": False}
    connection.execute(insert(spending), {"day": started_at[:_DAY_LETTERS], "call_id": call_id, **values})


def reserve_anew(connection: Connection, call_id: str, reservation: Reservation, started_at: str) -> None:
    """Put another reservation in the place of the one of that call. Raises SpendingLimitReached."""
    hold(connection, Lock.ADMISSION)
    connection.execute(delete(spending).where(spending.c.call_id == call_id))
    reserve(connection, call_id, reservation, started_at)


def settle(connection: Connection, call_id: str, cost: float | None) -> None:
    """Put what a call has cost in the place of what it reserved; None keeps that."""
    connection.execute(update(spending).where(spending.c.call_id == call_id).values(spent_usd=cost, ended=True))


def forget_call(connection: Connection, call_id: str) -> None:
    """Keep the amounts of a call that is erased, and nothing that leads to it."""
    connection.execute(update(spending).where(spending.c.call_id == call_id).values(call_id=None))


def check_fits(connection: Connection, reservation: Reservation, started_at: str) -> None:
    """Check that a call that begins at that ISO time may reserve that. Raises SpendingLimitReached."""
    of_day = spending.c.day == started_at[:_DAY_LETTERS]
    of_agent = of_day & (spending.c.agent == reservation.agent)
    for limit, which in ((reservation.day_limit, of_day), (reservation.agent_day_limit, of_agent)):
        if limit is not None and _used(connection, which) + reservation.usd > limit:
            raise SpendingLimitReached(
                f"the limit of {limit:g} US dollars a day is reached", retry_after=_until_midnight(started_at)
            )


def _add(usd: float, day: str, connection: Connection) -> None:
    hold(connection, Lock.SPENDING)
    is_ours = (spending.c.day == day) & (spending.c.agent == _NO_AGENT)
    added = connection.execute(update(spending).where(is_ours).values(spent_usd=spending.c.spent_usd + usd))
    if not added.rowcount:
        values = {"agent": _NO_AGENT, "reserved_usd": 0.0, "spent_usd": usd, "ended": True}
        connection.execute(insert(spending), {"day": day, **values})


def _used(connection: Connection, which: ColumnElement[bool]) -> float:
    amounts = func.sum(func.coalesce(spending.c.spent_usd, spending.c.reserved_usd))
    used: float = connection.execute(select(func.coalesce(amounts, 0.0)).where(which)).scalar_one()
    return round(used, _DOLLAR_DIGITS)


def _until_midnight(started_at: str) -> float:
    now = parse_iso(started_at)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _of_day(day: str, connection: Connection) -> DaySpending:
    is_open = spending.c.spent_usd.is_(None)
    columns = (
        func.coalesce(func.sum(spending.c.spent_usd), 0.0),
        func.coalesce(func.sum(spending.c.reserved_usd).filter(is_open), 0.0),
        func.count().filter(is_open & spending.c.ended),
    )
    spent, reserved, unknown = connection.execute(select(*columns).where(spending.c.day == day)).one()
    return DaySpending(day, round(spent, _DOLLAR_DIGITS), round(reserved, _DOLLAR_DIGITS), unknown)
