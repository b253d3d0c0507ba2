"""Work that one process does for all, at intervals: whoever claims it first.

A claim is a lease. A process that dies leaves one that runs out, and then another does the work.
"""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from app.clock import iso_utc
from app.storage.database import Database
from app.storage.dialects.statements import insert_new
from app.storage.schema import service_jobs


class ServiceJob:
    """One kind of work. Every method may raise StorageError. Leases are on the clock of :func:`app.clock.lease_now`."""

    def __init__(self, database: Database, name: str, *, every: timedelta) -> None:
        """``every`` is the time from the end of the work to its next beginning."""
        self._database = database
        self._is_it = service_jobs.c.name == name
        self._name = name
        self._every = every

    async def claim(self, now: datetime, *, lease_now: float, until: float) -> bool:
        """Whether the work is due, and this process is to do it; it has a lease until ``until``."""
        due = self._is_due(now, lease_now)
        known = select(due).where(self._is_it)
        if await self._database.read(lambda connection: connection.execute(known).scalar_one_or_none()) == 0:
            return False  # the usual case: no other process waits for a write that changes nothing
        return await self._database.write(partial(self._claim, due, iso_utc(now), until))

    async def renew(self, lease: float, until: float) -> bool:
        """Replace the lease that ends at ``lease`` by one until ``until``; False if it was lost."""
        return await self._set(lease, lease_until=until)

    async def done(self, lease: float, now: datetime) -> bool:
        """The work is done; it is due again later. False if the lease was lost."""
        return await self._set(lease, lease_until=None, due_at=iso_utc(now + self._every))

    def _is_due(self, now: datetime, lease_now: float) -> ColumnElement[bool]:
        """Also if the clock was once ahead, and what was due next is years away."""
        due = or_(service_jobs.c.due_at <= iso_utc(now), service_jobs.c.due_at > iso_utc(now + self._every))
        return and_(due, or_(service_jobs.c.lease_until.is_(None), service_jobs.c.lease_until < lease_now))

    def _claim(self, due: ColumnElement[bool], now: str, until: float, connection: Connection) -> bool:
        if insert_new(connection, service_jobs, {"name": self._name, "due_at": now, "lease_until": until}):
            return True
        return connection.execute(update(service_jobs).where(self._is_it, due).values(lease_until=until)).rowcount > 0

    async def _set(self, lease: float, **values: float | str | None) -> bool:
        ours = update(service_jobs).where(self._is_it, service_jobs.c.lease_until == lease).values(**values)
        return await self._database.write(lambda connection: connection.execute(ours).rowcount) > 0
