"""Places outbound calls: once for each idempotency key, and within the dial limits.

Dials are counted in a table of their own for a day, so that erasing calls does not allow more dials.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from app.clock import iso_utc, parse_iso
from app.errors import DestinationNotAllowed, DialLimitReached, KeyReused, OnDoNotCallList
from app.storage.calls import CallRow, create_call
from app.storage.database import Database
from app.storage.dialects.statements import Lock, hold
from app.storage.do_not_call import is_listed
from app.storage.schema import ERASED_BODY, dials, idempotency_keys
from app.storage.service_orders import orders_now
from app.storage.spending import Reservation

_KEPT = timedelta(hours=24)
_NUMBER_DIGITS = 6
"""How many characters of a number's digest stay after an erasure: enough to count dials, too few to find the number."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DialLimits:
    """How many calls all processes together may place."""

    number_per_hour: int
    """Calls to the same number."""
    all_per_day: int


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The client's key for a request, kept for 24 h."""

    key: str
    body_hash: str


class PlacementStore:
    """Inserts outbound calls."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(
        self,
        row: CallRow,
        *,
        limits: DialLimits,
        max_live: int,
        key: IdempotencyKey | None,
        now: datetime,
        reservation: Reservation | None = None,
        refusal: DestinationNotAllowed | None = None,
        is_announced: bool = True,
    ) -> str:
        """Insert a call for any process to claim; returns its id. For a known key, returns the id of its call.

        ``refusal`` is why this number may not be called now; ``is_announced`` as for
        :func:`app.storage.calls.create_call`. Raises it, KeyReused, OnDoNotCallList, DialLimitReached,
        AtCapacity, SpendingLimitReached, ServicePaused, OutboundStopped, StorageError.
        """
        placed = await self._database.write(
            partial(_place, row, limits, max_live, reservation, key, now, refusal, is_announced)
        )
        self._database.wakeups.tell("calls")
        return placed


def _place(
    row: CallRow,
    limits: DialLimits,
    max_live: int,
    reservation: Reservation | None,
    key: IdempotencyKey | None,
    now: datetime,
    refusal: DestinationNotAllowed | None,
    is_announced: bool,
    connection: Connection,
) -> str:
    hold(connection, Lock.ADMISSION)
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < iso_utc(now - _KEPT)))
    connection.execute(delete(dials).where(dials.c.placed_at < iso_utc(now - _DAY)))
    if key is not None and (placed := _placed_before(key, connection)):
        return placed
    orders_now(connection).check_outbound()
    if is_listed(connection, row.called_number or ""):
        raise OnDoNotCallList("this number is on the do-not-call list")
    if refusal is not None:
        raise refusal
    number = _digest(row.called_number or "")[:_NUMBER_DIGITS]
    to_number = dials.c.number_digest == number
    _check(to_number, limits.number_per_hour, _HOUR, now, connection, "calls to this number in an hour")
    _check(None, limits.all_per_day, _DAY, now, connection, "calls placed in a day")
    create_call(row, max_live, reservation, connection, is_announced=is_announced)
    connection.execute(insert(dials), {"placed_at": row.started_at, "number_digest": number})
    if key is not None:
        values = {"key_digest": _digest(key.key), "body_hash": key.body_hash, "call_id": row.call_id}
        connection.execute(insert(idempotency_keys), {**values, "created_at": iso_utc(now)})
    return row.call_id


def _placed_before(key: IdempotencyKey, connection: Connection) -> str | None:
    statement = select(idempotency_keys.c.body_hash, idempotency_keys.c.call_id)
    known = connection.execute(statement.where(idempotency_keys.c.key_digest == _digest(key.key))).one_or_none()
    if known is None:
        return None
    if known.body_hash == ERASED_BODY:
        raise KeyReused("the call of this Idempotency-Key was erased; take a new key for a new call")
    if known.body_hash != key.body_hash:
        raise KeyReused("this Idempotency-Key was used for another request; take a new key for a new call")
    call_id: str = known.call_id
    return call_id


def _check(
    which: ColumnElement[bool] | None, limit: int, window: timedelta, now: datetime, connection: Connection, what: str
) -> None:
    """Check that one more dial fits: the ``limit``-th last dial must be older than the window."""
    placed = select(dials.c.placed_at)
    if which is not None:
        placed = placed.where(which)
    newest_first = placed.order_by(dials.c.placed_at.desc()).offset(limit - 1).limit(1)
    last = connection.execute(newest_first).scalar_one_or_none()
    if last is not None and (wait := parse_iso(last) + window - now) > timedelta(0):
        raise DialLimitReached(f"the limit of {limit} {what} is reached", retry_after=wait.total_seconds())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
