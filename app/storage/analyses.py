"""What came of the calls, and which calls still have to be analysed (:mod:`app.storage.call_jobs`)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from app.clock import iso_utc
from app.errors import CallNotFound, CallStillLive, InvalidRequest
from app.storage.call_jobs import CallJobs
from app.storage.database import Database
from app.storage.figures import count_success
from app.storage.outbox import emit
from app.storage.schema import analysis_jobs, call_outcomes, calls

_VALUE_MAX = 200
"""A longer value is no filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What came of a call. ``status`` is ``pending`` until the job is over."""

    status: Literal["pending", "done", "failed"] = "pending"
    summary: str | None = None
    fields: Mapping[str, Mapping[str, Any]] | None = None
    """By name: ``value``, ``quote``, ``turn`` and ``verified_by``."""
    success: bool | None = None
    reason: str | None = None
    """Why it was a success or not; of a failed analysis, what went wrong."""
    model: str | None = None
    cost: float | None = None
    """US dollars, of all attempts; None when it is not known. The costs of the call do not include it."""


@dataclass(frozen=True, slots=True)
class AnalysisJob:
    """A call to analyse."""

    call_id: str
    attempts: int
    """With this one."""
    due_at: str
    lease_until: float | None
    """On the clock of :func:`app.clock.lease_now`."""
    cost: float | None
    """Of the attempts before, in US dollars; None if it is not known."""


class AnalysisStore:
    """The jobs of all processes. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = CallJobs(database, analysis_jobs)

    async def claim(self, now: datetime, *, lease_now: float, until: float, limit: int) -> list[AnalysisJob]:
        """Claim up to ``limit`` jobs that are due, with a lease until ``until``, oldest first."""
        claimed = await self._jobs.claim(now, lease_now=lease_now, until=until, limit=limit)
        return [AnalysisJob(**row._mapping) for row in claimed]

    async def finish(self, job: AnalysisJob, analysis: Analysis, now: datetime) -> bool:
        """Store what came of the call, and report it. False, and nothing happens, if the lease was lost."""
        return await self._database.write(partial(_finish, self._jobs.is_ours(job), job, analysis, iso_utc(now)))

    async def again(self, job: AnalysisJob, due_at: datetime, cost: float | None) -> None:
        """Have the job done later; ``cost`` is that of all attempts so far."""
        await self._jobs.change(job, due_at=iso_utc(due_at), lease_until=None, cost=cost)

    async def request(self, call_id: str, now: datetime) -> None:
        """Have a call analysed, anew if it was before. Raises CallNotFound, CallStillLive."""
        await self._database.write(partial(_request, call_id, iso_utc(now)))

    async def waiting(self) -> int:
        """How many calls are not analysed yet."""
        return await self._jobs.waiting()


def request_analysis(connection: Connection, call_id: str, at: str) -> None:
    """Have an ended call analysed, as part of a larger transaction. ``at`` is ISO UTC."""
    connection.execute(delete(analysis_jobs).where(analysis_jobs.c.call_id == call_id))
    connection.execute(delete(call_outcomes).where(call_outcomes.c.call_id == call_id))
    found = connection.execute(select(calls.c.analysis).where(calls.c.call_id == call_id)).scalar_one_or_none() or {}
    count_success(connection, call_id, found.get("success"), amount=-1)
    connection.execute(insert(analysis_jobs), {"call_id": call_id, "attempts": 0, "due_at": at, "cost": 0.0})
    connection.execute(update(calls).where(calls.c.call_id == call_id).values(analysis=asdict(Analysis())))


def outcome_value(value: Any) -> str | None:
    """A plain value as filters compare it; None for others."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() | int() | float() if 0 < len(str(value)) <= _VALUE_MAX:
            return str(value)
        case _:
            return None


def _finish(
    is_ours: ColumnElement[bool], job: AnalysisJob, analysis: Analysis, now: str, connection: Connection
) -> bool:
    if not connection.execute(delete(analysis_jobs).where(is_ours)).rowcount:
        return False
    connection.execute(update(calls).where(calls.c.call_id == job.call_id).values(analysis=asdict(analysis)))
    count_success(connection, job.call_id, analysis.success)
    values = {name: outcome_value(field.get("value")) for name, field in (analysis.fields or {}).items()}
    rows = [
        {"field": name, "value": value, "call_id": job.call_id} for name, value in values.items() if value is not None
    ]
    if rows:
        connection.execute(insert(call_outcomes), rows)
    emit(connection, job.call_id, "call.analyzed", now)
    return True


def _request(call_id: str, now: str, connection: Connection) -> None:
    about = select(calls.c.status, calls.c.words_erased_at).where(calls.c.call_id == call_id)
    call = connection.execute(about.with_for_update()).one_or_none()
    if call is None:
        raise CallNotFound("there is no such call")
    if call.status != "ended":
        raise CallStillLive("the call is analysed when it has ended")
    if call.words_erased_at is not None:
        raise InvalidRequest("the words of the call are erased, so there is nothing to analyse")
    request_analysis(connection, call_id, now)
