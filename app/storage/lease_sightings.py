"""Whose lease has run out and also stands still, because a clock that several machines share may be set.

The lease clock of a SQLite file is that of its machine's boot, which nobody can set. That of Postgres follows the time
of day of its server. If that is set forward, all leases seem to have run out, until their owners renew them half a
second later. So a process takes a call only when it has seen the same lease for longer than two renewals, by its own
clock.
"""

from sqlalchemy import ColumnElement, select

from app.clock import machine_now
from app.storage.database import Database
from app.storage.leases import RELEASED
from app.storage.schema import calls

_Lease = tuple[str, int, float]
"""Of a call: its id, its fence, and the end of its lease."""


class LeaseSightings:
    """Which leases this process has seen, and since when."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since: dict[_Lease, float] = {}

    async def unmoved(self, expired: ColumnElement[bool]) -> list[str]:
        """The calls for which that holds, and whose leases stand still or were released. Raises StorageError."""
        leases = select(calls.c.call_id, calls.c.fence, calls.c.lease_until).where(expired)
        rows = await self._database.read(lambda connection: connection.execute(leases).all())
        now, found = machine_now(), [(row.call_id, row.fence, row.lease_until) for row in rows]
        self._since = {lease: self._since.get(lease, now) for lease in found}
        seen_before = now - self._database.unmoved_seconds
        return [lease[0] for lease, since in self._since.items() if lease[2] == RELEASED or since <= seen_before]
