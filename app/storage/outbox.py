"""Webhooks that the service owes its operator's endpoints.

The code that commits an event of a call also inserts its deliveries, in the same transaction: no event is ever without
them, whatever dies next. Workers claim what is due with a lease, so that each attempt is one worker's. A worker that
dies leaves a lease that runs out, and another sends the same message again.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from app.clock import iso_utc
from app.errors import InvalidRequest
from app.models import CallEvent
from app.storage.database import Database
from app.storage.dialects.statements import Lock, hold, position, unclaimed
from app.storage.schema import calls, webhook_deliveries, webhook_endpoints

DeliveryStatus = Literal["pending", "delivered", "dead"]

_REMOVED = "the endpoint is no longer set up"
_ERROR_MAX = 200


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which events an endpoint gets. The address and the secrets stay in the settings and the agents' files."""

    endpoint_id: str
    agent: str | None
    """None: those of all calls."""
    events: frozenset[CallEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint. Times are ISO UTC."""

    delivery_id: int
    message_id: str
    """The same in each attempt."""
    call_id: str
    endpoint_id: str
    event: CallEvent
    happened_at: str
    status: DeliveryStatus
    attempts: int
    """Attempts that failed; of a delivered one, with the last."""
    due_at: str
    """When the next attempt is due."""
    lease_until: float | None
    """On the clock of :func:`app.clock.lease_now`."""
    delivered_at: str | None
    answer: int | None
    """The HTTP status of the last answer."""
    error: str | None
    """What was wrong with the last attempt."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not delivered."""

    waiting: int = 0
    dead: int = 0
    died: int = 0
    """How many of the dead were given up lately."""
    oldest: str | None = None
    """When the oldest waiting event happened, ISO UTC."""
    switched_off: int = 0
    """Endpoints that do not want any more."""


class Outbox:
    """The deliveries of all processes. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Replace the endpoints. One that stays keeps its state; what waits for one that is gone is dead."""
        await self._database.write(partial(_subscribe, list(subscriptions)))

    async def claim(
        self, endpoint_id: str, now: datetime, lease_now: float, until: float, limit: int
    ) -> list[Delivery]:
        """Claim up to ``limit`` deliveries that are due, at most one of each call, with a lease until ``until``.

        A call's events are due in their order: a later one waits until those before it are delivered or dead.
        """
        due = _is_due(endpoint_id, iso_utc(now), lease_now)
        some = select(webhook_deliveries.c.delivery_id).where(due).limit(1)
        if await self._database.read(lambda connection: connection.execute(some).first()) is None:
            return []  # the usual case: no other process waits for a write that changes nothing
        return await self._database.write(partial(_claim, due, until, limit))

    async def delivered(self, delivery: Delivery, answer: int, now: datetime) -> None:
        """The endpoint has taken it. Nothing happens if the lease was lost meanwhile."""
        await self._settle(
            delivery, status="delivered", delivered_at=iso_utc(now), answer=answer, error=None, lease_until=None
        )

    async def failed(self, delivery: Delivery, error: str, answer: int | None, due_at: datetime | None) -> None:
        """An attempt failed. It is tried again at ``due_at``; None: never. Nothing happens if the lease was lost."""
        again: dict[str, Any] = {"status": "dead"} if due_at is None else {"due_at": iso_utc(due_at)}
        await self._settle(delivery, **again, answer=answer, error=error[:_ERROR_MAX], lease_until=None)

    async def switch_off(self, delivery: Delivery, error: str, answer: int | None, now: datetime) -> None:
        """The endpoint wants no more. This delivery and all that wait for the endpoint are dead."""
        await self.failed(delivery, error, answer, None)
        await self._database.write(partial(_switch_off, delivery.endpoint_id, error, iso_utc(now)))

    async def list(
        self, status: DeliveryStatus | None, *, limit: int, before: int | None = None, call_id: str | None = None
    ) -> list[Delivery]:
        """Deliveries, of all calls or of one, newest first; ``before`` is the last delivery of the page before."""
        wanted = select(webhook_deliveries)
        if call_id is not None:
            wanted = wanted.where(webhook_deliveries.c.call_id == call_id)
        if status is not None:
            wanted = wanted.where(webhook_deliveries.c.status == status)
        if before is not None:
            wanted = wanted.where(webhook_deliveries.c.delivery_id < before)
        wanted = wanted.order_by(webhook_deliveries.c.delivery_id.desc()).limit(limit)
        return list(map(_delivery, await self._database.read(lambda connection: connection.execute(wanted).all())))

    async def retry(self, delivery_id: int, now: datetime) -> Delivery | None:
        """Have it sent now, with all its attempts again, and switch its endpoint on; None if there is no such delivery.

        A delivered one is sent once more, with the same id. Raises InvalidRequest when its endpoint is gone.
        """
        return await self._database.write(partial(_retry, delivery_id, iso_utc(now)))

    async def backlog(self, lately: datetime) -> Backlog:
        """How much is not delivered; ``lately`` is since when those that were given up count as ``died``."""
        return await self._database.read(partial(_backlog, iso_utc(lately)))

    async def _settle(self, delivery: Delivery, **values: Any) -> None:
        claimed = and_(
            webhook_deliveries.c.delivery_id == delivery.delivery_id,
            webhook_deliveries.c.lease_until == delivery.lease_until,
        )
        settled = update(webhook_deliveries).where(claimed)
        settled = settled.values(attempts=webhook_deliveries.c.attempts + 1, **values)
        await self._database.write(lambda connection: connection.execute(settled))


def emit(connection: Connection, call_id: str, event: CallEvent, at: str) -> None:
    """Insert the deliveries of an event of a call, as part of the transaction that makes it true. ``at`` is ISO UTC."""
    _deliver(connection, call_id, event, at, connection.execute(_wanted(call_id, event)).scalars().all())


def announce_placed(connection: Connection, call_id: str) -> None:
    """Emit ``call.started`` of an outbound call to the endpoints that have not had it. Other calls have emitted theirs.

    The endpoints are those of the agent that calls, which is not known before its lookup has answered.
    """
    event: CallEvent = "call.started"
    ours = webhook_deliveries.c.call_id == call_id
    had = select(webhook_deliveries.c.endpoint_id).where(ours, webhook_deliveries.c.event == event)
    is_placed = select(calls.c.call_id).where(calls.c.call_id == call_id, calls.c.direction == "outbound").exists()
    wanted = _wanted(call_id, event).where(is_placed, webhook_endpoints.c.endpoint_id.not_in(had))
    if endpoints := connection.execute(wanted).scalars().all():
        at = connection.execute(select(calls.c.started_at).where(calls.c.call_id == call_id)).scalar_one()
        _deliver(connection, call_id, event, at, endpoints)


def _wanted(call_id: str, event: CallEvent) -> Select[str]:
    """The endpoints that get the event of that call."""
    agent = select(calls.c.agent).where(calls.c.call_id == call_id).scalar_subquery()
    is_real = select(calls.c.call_id).where(calls.c.call_id == call_id, calls.c.synthetic.is_(False)).exists()
    return select(webhook_endpoints.c.endpoint_id).where(
        is_real,
        webhook_endpoints.c.off_since.is_(None),
        or_(webhook_endpoints.c.agent.is_(None), webhook_endpoints.c.agent == agent),
        position(webhook_endpoints.c.events, f" {event} ") > 0,
    )


def _deliver(connection: Connection, call_id: str, event: CallEvent, at: str, endpoints: Iterable[str]) -> None:
    rows = [
        {
            "message_id": f"msg_{secrets.token_hex(12)}",
            "call_id": call_id,
            "endpoint_id": endpoint_id,
            "event": event,
            "happened_at": at,
            "status": "pending",
            "attempts": 0,
            "due_at": at,
        }
        for endpoint_id in endpoints
    ]
    if rows:
        connection.execute(insert(webhook_deliveries), rows)


def _subscribe(subscriptions: list[Subscription], connection: Connection) -> None:
    hold(connection, Lock.SUBSCRIPTIONS)
    known = set(connection.execute(select(webhook_endpoints.c.endpoint_id)).scalars())
    for wanted in subscriptions:
        values = {"agent": wanted.agent, "events": f" {' '.join(sorted(wanted.events))} "}
        if wanted.endpoint_id in known:
            same = webhook_endpoints.c.endpoint_id == wanted.endpoint_id
            connection.execute(update(webhook_endpoints).where(same).values(**values))
        else:
            connection.execute(insert(webhook_endpoints), {"endpoint_id": wanted.endpoint_id, **values})
    kept = [wanted.endpoint_id for wanted in subscriptions]
    connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.endpoint_id.not_in(kept)))
    lost = and_(webhook_deliveries.c.status == "pending", webhook_deliveries.c.endpoint_id.not_in(kept))
    connection.execute(update(webhook_deliveries).where(lost).values(status="dead", error=_REMOVED, lease_until=None))


def _is_due(endpoint_id: str, now: str, lease_now: float) -> ColumnElement[bool]:
    earlier = aliased(webhook_deliveries)
    waits_for = select(earlier.c.delivery_id).where(
        earlier.c.call_id == webhook_deliveries.c.call_id,
        earlier.c.endpoint_id == webhook_deliveries.c.endpoint_id,
        earlier.c.status == "pending",
        earlier.c.delivery_id < webhook_deliveries.c.delivery_id,
    )
    return and_(
        webhook_deliveries.c.status == "pending",
        webhook_deliveries.c.endpoint_id == endpoint_id,
        webhook_deliveries.c.due_at <= now,
        or_(webhook_deliveries.c.lease_until.is_(None), webhook_deliveries.c.lease_until < lease_now),
        ~waits_for.exists(),
    )


def _claim(due: ColumnElement[bool], until: float, limit: int, connection: Connection) -> list[Delivery]:
    order = (webhook_deliveries.c.due_at, webhook_deliveries.c.delivery_id)
    first = select(webhook_deliveries.c.delivery_id).where(due).order_by(*order).limit(limit)
    claimed = (
        update(webhook_deliveries)
        .where(webhook_deliveries.c.delivery_id.in_(connection.execute(unclaimed(first)).scalars().all()))
        .values(lease_until=until)
        .returning(webhook_deliveries)
    )
    return sorted(map(_delivery, connection.execute(claimed)), key=lambda delivery: delivery.delivery_id)


def _switch_off(endpoint_id: str, error: str, now: str, connection: Connection) -> None:
    same = webhook_endpoints.c.endpoint_id == endpoint_id
    connection.execute(update(webhook_endpoints).where(same).values(off_since=now))
    waiting = and_(webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.status == "pending")
    connection.execute(
        update(webhook_deliveries).where(waiting).values(status="dead", error=error[:_ERROR_MAX], lease_until=None)
    )


def _retry(delivery_id: int, now: str, connection: Connection) -> Delivery | None:
    same = webhook_deliveries.c.delivery_id == delivery_id
    row = connection.execute(select(webhook_deliveries).where(same).with_for_update()).one_or_none()
    if row is None:
        return None
    endpoint = webhook_endpoints.c.endpoint_id == row.endpoint_id
    if not connection.execute(update(webhook_endpoints).where(endpoint).values(off_since=None)).rowcount:
        raise InvalidRequest(f"{_REMOVED}; set it up again, and then retry")
    again: dict[str, Any] = {"due_at": now}
    if row.status != "pending":
        again |= {"status": "pending", "attempts": 0, "lease_until": None, "delivered_at": None}
    connection.execute(update(webhook_deliveries).where(same).values(**again))
    return _delivery(connection.execute(select(webhook_deliveries).where(same)).one())


def _backlog(lately: str, connection: Connection) -> Backlog:
    status = webhook_deliveries.c.status
    waiting = select(func.count(), func.min(webhook_deliveries.c.happened_at)).where(status == "pending")
    dead = select(func.count(), func.count().filter(webhook_deliveries.c.due_at >= lately)).where(status == "dead")
    off = select(func.count()).where(webhook_endpoints.c.off_since.is_not(None))
    waits, oldest = connection.execute(waiting).one()
    given_up, died = connection.execute(dead).one()
    return Backlog(waits, given_up, died, oldest, connection.execute(off).scalar_one())


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
