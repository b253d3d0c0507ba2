"""Work that follows the end of a call and must not be forgotten: jobs of calls, each kind in a table of its own.

The job of a call is inserted in the transaction of its end. Workers claim jobs with a lease; a worker that dies leaves
a lease that runs out, and another takes the job. Each claim counts as an attempt, so that a call that kills its worker
does not do so for ever.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, or_, select, update

from app.clock import iso_utc
from app.storage.database import Database
from app.storage.dialects.statements import unclaimed


class Job(Protocol):
    """A job that this process has claimed."""

    @property
    def call_id(self) -> str:
        """Whose it is."""

    @property
    def lease_until(self) -> float | None:
        """The end of our lease."""


class CallJobs:
    """The jobs of one table, with the columns ``call_id``, ``attempts``, ``due_at`` and ``lease_until``.

    Every method may raise StorageError. Leases are on the clock of :func:`app.clock.lease_now`.
    """

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table

    async def claim(self, now: datetime, *, lease_now: float, until: float, limit: int) -> Sequence[Row[Any]]:
        """Claim up to ``limit`` jobs that are due, with a lease until ``until``, oldest first."""
        table = self._table.c
        due = and_(
            table.due_at <= iso_utc(now),
            or_(table.lease_until.is_(None), table.lease_until < lease_now),
        )
        some = select(table.call_id).where(due).limit(1)
        if await self._database.read(lambda connection: connection.execute(some).first()) is None:
            return []  # the usual case: no other process waits for a write that changes nothing
        return await self._database.write(partial(self._claim, due, until, limit))

    async def change(self, job: Job, **values: Any) -> bool:
        """Change columns of the job; False, and nothing happens, if the lease was lost."""
        changed = update(self._table).where(self.is_ours(job)).values(**values)
        return await self._database.write(lambda connection: connection.execute(changed).rowcount) > 0

    async def waiting(self) -> int:
        """How many jobs are not over."""
        count = select(func.count()).select_from(self._table)
        return await self._database.read(lambda connection: connection.execute(count).scalar_one())

    def is_ours(self, job: Job) -> ColumnElement[bool]:
        """Whether a row is this job, and no other process has claimed it since."""
        return and_(self._table.c.call_id == job.call_id, self._table.c.lease_until == job.lease_until)

    def _claim(self, due: ColumnElement[bool], until: float, limit: int, connection: Connection) -> Sequence[Row[Any]]:
        table = self._table.c
        first = select(table.call_id).where(due).order_by(table.due_at).limit(limit)
        claimed = (
            update(self._table)
            .where(table.call_id.in_(connection.execute(unclaimed(first)).scalars().all()))
            .values(lease_until=until, attempts=table.attempts + 1)
            .returning(self._table)
        )
        return connection.execute(claimed).all()
