"""The inbox of callers that LiveKit's webhooks reported. Each webhook counts once; its body is not stored."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, delete, select, update

from app.clock import iso_utc
from app.models import TelephoneCall
from app.storage.database import Database
from app.storage.dialects.statements import insert_new, unclaimed
from app.storage.schema import webhook_inbox

log = structlog.get_logger(__name__)

_KEPT = timedelta(hours=1)
"""How long an event's id is kept; LiveKit resends a webhook for less than ten minutes."""


class WebhookInbox:
    """Events by their id. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.wakeups = database.wakeups
        """Tells of callers, and of calls to be placed, that another process has stored."""

    async def add(self, event_id: str, event: str, caller: TelephoneCall, now: datetime) -> bool:
        """Store an event for processing; False when its id is known. Deletes events older than an hour."""
        row = {
            "event_id": event_id,
            "event": event,
            "room": caller.room,
            "room_sid": caller.room_sid,
            "identity": caller.identity,
            "attributes": caller.attributes,
            "received_at": iso_utc(now),
        }
        is_new = await self._database.write(partial(_add, row, iso_utc(now - _KEPT)))
        if is_new:
            self._database.wakeups.tell("calls")
        return is_new

    async def take(self, now: datetime, limit: int) -> list[TelephoneCall]:
        """Take up to ``limit`` waiting callers, first come first; each is returned to one process."""
        return await self._database.write(partial(_take, iso_utc(now), limit))


def _add(row: dict[str, Any], forget_before: str, connection: Connection) -> bool:
    connection.execute(delete(webhook_inbox).where(webhook_inbox.c.received_at < forget_before))
    return insert_new(connection, webhook_inbox, row)


def _take(now: str, limit: int, connection: Connection) -> list[TelephoneCall]:
    waiting = (
        select(webhook_inbox.c.event_id)
        .where(webhook_inbox.c.taken_at.is_(None))
        .order_by(webhook_inbox.c.received_at)
        .limit(limit)
    )
    taken = (
        update(webhook_inbox)
        .where(webhook_inbox.c.event_id.in_(connection.execute(unclaimed(waiting)).scalars().all()))
        .values(taken_at=now)
        .returning(webhook_inbox.c.room, webhook_inbox.c.room_sid, webhook_inbox.c.identity, webhook_inbox.c.attributes)
    )
    callers = (_caller(*row) for row in connection.execute(taken))
    return [caller for caller in callers if caller is not None]


def _caller(room: str, room_sid: str, identity: str, attributes: dict[str, Any]) -> TelephoneCall | None:
    """Read a row; None if it lacks the id of its call. Then the reconciler finds the caller."""
    texts = {name: value for name, value in attributes.items() if isinstance(value, str)}
    caller = TelephoneCall(room, room_sid, identity, texts)
    if not caller.sip_call_id:
        log.error("webhook.unreadable", room_sid=room_sid)
        return None
    return caller
