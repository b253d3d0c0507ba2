"""Which recordings still have to be compressed (:mod:`app.storage.call_jobs`)."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, insert

from app.clock import iso_after, iso_utc
from app.storage.call_jobs import CallJobs
from app.storage.database import Database
from app.storage.schema import compression_jobs

REST_SECONDS = 120.0
"""How long after the end of its call a recording is compressed. By then a slow disk has taken the last of it, and who
fetches it at the end of the call has it as it was heard."""


@dataclass(frozen=True, slots=True)
class CompressionJob:
    """A recording to compress."""

    call_id: str
    attempts: int
    """With this one."""
    due_at: str
    lease_until: float | None
    """On the clock of :func:`app.clock.lease_now`."""


class CompressionStore:
    """The jobs of all processes. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = CallJobs(database, compression_jobs)

    async def claim(self, now: datetime, *, lease_now: float, until: float) -> CompressionJob | None:
        """Claim the job that has been due for longest, with a lease until ``until``; None if none is due."""
        claimed = await self._jobs.claim(now, lease_now=lease_now, until=until, limit=1)
        return CompressionJob(**claimed[0]._mapping) if claimed else None

    async def renew(self, job: CompressionJob, until: float) -> CompressionJob | None:
        """The job with a longer lease; None if the lease was lost, or the call is gone."""
        return replace(job, lease_until=until) if await self._jobs.change(job, lease_until=until) else None

    async def again(self, job: CompressionJob, due_at: datetime) -> None:
        """Have the job done later."""
        await self._jobs.change(job, due_at=iso_utc(due_at), lease_until=None)

    async def finish(self, job: CompressionJob) -> None:
        """The job is over. Nothing happens if the lease was lost."""
        over = delete(compression_jobs).where(self._jobs.is_ours(job))
        await self._database.write(lambda connection: connection.execute(over))

    async def waiting(self) -> int:
        """How many recordings are not compressed yet."""
        return await self._jobs.waiting()


def request_compression(connection: Connection, call_id: str, ended_at: str) -> None:
    """Have the recording of an ended call compressed, as part of a larger transaction. ``ended_at`` is ISO UTC."""
    due_at = iso_after(ended_at, REST_SECONDS)
    connection.execute(insert(compression_jobs), {"call_id": call_id, "attempts": 0, "due_at": due_at})
