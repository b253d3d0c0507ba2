"""Operators' requests to live calls: any process stores them, the call's owner takes them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from app.clock import iso_utc
from app.errors import CallAlreadyEnded, CallNotFound
from app.storage.calls import LIVE
from app.storage.database import Database
from app.storage.dialects.statements import unclaimed
from app.storage.schema import call_requests, calls

_FORGOTTEN_AFTER = timedelta(hours=1)
"""How long a request is kept whose call ended before its owner took it."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A request to a live call; ``data`` is a JSON object whose keys depend on the kind."""

    call_id: str
    kind: str
    data: dict[str, Any]


class CallRequestStore:
    """Requests in the order they were made. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.wakeups = database.wakeups
        """Tells of requests that another process has stored."""

    async def add(self, request: CallRequest, now: datetime) -> None:
        """Store a request for the owner of the call. Raises CallNotFound, CallAlreadyEnded."""
        await self._database.write(partial(_add, request, now))
        self._database.wakeups.tell("requests", request.call_id)

    async def take(self, owner: str, now: datetime) -> list[CallRequest]:
        """Take the requests to this owner's live calls, oldest first; each is returned once.

        Reads first, and writes only if there are requests.
        """
        found = select(call_requests.c.request_id).where(_waiting_for(owner)).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()) is None:
            return []
        return await self._database.write(partial(_take, owner, iso_utc(now)))


def _waiting_for(owner: str) -> ColumnElement[bool]:
    owned = select(calls.c.call_id).where(
        calls.c.call_id == call_requests.c.call_id, calls.c.owner == owner, calls.c.status.in_(LIVE)
    )
    return call_requests.c.taken_at.is_(None) & owned.exists()


def _add(request: CallRequest, now: datetime, connection: Connection) -> None:
    status = connection.execute(select(calls.c.status).where(calls.c.call_id == request.call_id)).scalar_one_or_none()
    if status is None:
        raise CallNotFound("there is no such call")
    if status == "ended":
        raise CallAlreadyEnded("the call has ended")
    ended = select(calls.c.call_id).where(calls.c.call_id == call_requests.c.call_id, calls.c.status == "ended")
    is_old = call_requests.c.created_at < iso_utc(now - _FORGOTTEN_AFTER)
    connection.execute(delete(call_requests).where(call_requests.c.taken_at.is_(None), is_old, ended.exists()))
    row = {"call_id": request.call_id, "kind": request.kind, "data": request.data, "created_at": iso_utc(now)}
    connection.execute(insert(call_requests), row)


def _take(owner: str, now: str, connection: Connection) -> list[CallRequest]:
    """The data does not stay: what an operator has the agent say may be what the journal of the call must not hold."""
    waiting = select(call_requests).where(_waiting_for(owner)).order_by(call_requests.c.request_id)
    rows = connection.execute(unclaimed(waiting)).all()
    taken = call_requests.c.request_id.in_([row.request_id for row in rows])
    connection.execute(update(call_requests).where(taken).values(taken_at=now, data={}))
    return [CallRequest(row.call_id, row.kind, row.data) for row in rows]
