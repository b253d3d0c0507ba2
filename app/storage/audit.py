"""Who asked for what: every request that changes something, with its key's name. It outlives the calls it names."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.clock import iso_utc
from app.storage.database import Database
from app.storage.schema import audit

COMMAND_LINE = "command line"
"""In place of a key's name: somebody who can write into the database itself."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request."""

    audit_id: int
    at: str
    key: str
    """The name of the key."""
    action: str
    """Method and path, such as ``POST /calls/{call_id}/hangup``, or a command, such as ``keys add``."""
    call_id: str | None
    detail: str | None
    """What a command was given; no words or numbers of callers."""
    status: int | None
    """The HTTP status of the answer. None: the process died before it, or the action was a command."""


class AuditLog:
    """The entries. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, key: str, action: str, now: datetime, *, call_id: str | None = None, detail: str | None = None
    ) -> int:
        """Write down what is asked for, before it is done; returns the number of the entry."""
        row = {"at": iso_utc(now), "key": key, "action": action, "call_id": call_id, "detail": detail}

        def write(connection: Connection) -> int:
            number: int = connection.execute(insert(audit).values(**row).returning(audit.c.audit_id)).scalar_one()
            return number

        return await self._database.write(write)

    async def answered(self, audit_id: int, status: int, *, call_id: str | None = None) -> None:
        """Write down how it was answered, and which call it has made."""
        values: dict[str, Any] = {"status": status, **({"call_id": call_id} if call_id is not None else {})}
        statement = update(audit).where(audit.c.audit_id == audit_id).values(**values)
        await self._database.write(lambda connection: connection.execute(statement))

    async def page(
        self, *, limit: int, before: int | None = None, key: str | None = None, call_id: str | None = None
    ) -> list[AuditEntry]:
        """Up to ``limit`` entries, newest first, older than the entry ``before``."""
        statement = select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
        for column, wanted in ((audit.c.key, key), (audit.c.call_id, call_id)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if before is not None:
            statement = statement.where(audit.c.audit_id < before)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [AuditEntry(**row._mapping) for row in rows]
