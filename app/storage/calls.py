"""Call records: who called, which process owns the call now, how it ended."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import structlog
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update

from app.clock import lease_now
from app.errors import AtCapacity, CallAlreadyEnded, CallNotFound, CallStillLive, CallTaken, OwnershipLost, StorageError
from app.ports.services import CallEnding
from app.storage.call_lists import CallFilter, decode_cursor, encode_cursor, list_statement
from app.storage.database import Database
from app.storage.leases import RELEASED, is_expired, is_released, prove_writable
from app.storage.schema import ERASED_BODY, call_requests, calls, idempotency_keys, sessions, webhook_inbox

log = structlog.get_logger(__name__)

Kind = Literal["websocket", "room"]
Direction = Literal["inbound", "outbound", "web"]
Status = Literal["ringing", "active", "ended"]

LIVE: tuple[Status, ...] = ("ringing", "active")
_UNOWNED = (calls.c.status == "ringing") & (calls.c.direction == "outbound") & calls.c.owner.is_(None)
"""A call that is to be placed, and that no process has taken yet."""
_IS_ANY_UNCLAIMED = select(
    or_(
        select(webhook_inbox.c.event_id).where(webhook_inbox.c.taken_at.is_(None)).exists(),
        select(calls.c.call_id).where(_UNOWNED).exists(),
    )
)
"""Asked twenty times a second by each process, so it is not built anew each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as it is stored. Moments are ISO UTC as :func:`app.clock.iso_utc` writes them."""

    call_id: str
    kind: Kind
    direction: Direction
    status: Status
    created_at: str
    started_at: str
    version: str
    """Of the service that took the call."""
    caller_number: str | None = None
    called_number: str | None = None
    livekit_room: str | None = None
    answered_at: str | None = None
    ended_at: str | None = None
    duration_seconds: float | None = None
    end_reason: str | None = None
    fault: str = "none"
    language: str | None = None
    recording: bool = False
    """Whether the call is recorded."""
    metadata: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    """What is worked out at the end: latency, token usage, costs, provider ids."""
    owner: str | None = None
    """Name of the owning process, never used by another one. Workers of one supervisor share a first word and a dot."""
    fence: int = 1
    """Grows by one with each take-over; who holds an older one has lost the call."""
    lease_until: float | None = None
    """As :func:`app.clock.lease_now` counts; afterwards another process may take the call over.

    Of a call that has no owner yet: until when it is to be placed.
    """
    over_since: float | None = None
    """When the call ended, as :func:`app.clock.lease_now` counts; None when that was before the machine booted, too."""
    room_sid: str | None = None
    """Of the LiveKit room; with ``sip_call_id`` it is unique."""
    sip_call_id: str | None = None


class CallStore:
    """The records of all calls. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_in_log = True
        """Whether the database's log may hold what was erased; after a start nobody knows."""

    async def create(self, row: CallRow, *, max_live: int | None = None) -> None:
        """Insert a call.

        Raises CallTaken when the same telephone call is there already, AtCapacity when ``max_live`` calls of all
        processes live.
        """
        await self._database.write(partial(create_call, row, max_live))

    async def get(self, call_id: str) -> CallRow | None:
        """The call, or None."""
        statement = select(calls).where(calls.c.call_id == call_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else _call(row)

    async def mark_answered(self, call_id: str, fence: int, at: str) -> None:
        """The call is active since ``at`` (ISO UTC); the first answer stands.

        Raises OwnershipLost, CallAlreadyEnded, CallNotFound.
        """
        await self._database.write(partial(_mark_answered, call_id, fence, at))

    async def note_telephone(
        self, call_id: str, fence: int, *, room_sid: str | None = None, sip_call_id: str | None = None
    ) -> None:
        """The room that a call is placed from, and LiveKit's id of it, once they are known."""
        known = {name: value for name, value in (("room_sid", room_sid), ("sip_call_id", sip_call_id)) if value}
        statement = update(calls).where(calls.c.call_id == call_id, calls.c.fence == fence).values(**known)
        await self._database.write(lambda connection: connection.execute(statement))

    async def renew_leases(self, owner: str, call_ids: Collection[str], until: float) -> set[str]:
        """Keep these calls of the owner until then; gives those of them that another process owns now.

        An owner without calls writes, too, while anybody has one: that shows whether leases can be renewed at all.
        """
        return await self._database.write(partial(_renew_leases, owner, call_ids, until))

    async def take_over_expired(
        self, now: float, owner: str, *, until: float, alive: Collection[str] = (), only_released: bool = False
    ) -> list[CallRow]:
        """Own the live calls whose lease has expired, until ``until``; gives them with their new fence.

        Of several processes that try, one gets a call. Those of the owner itself are taken, too, unless they are
        ``alive`` there. Those of a worker under the same supervisor are taken when :meth:`release_leases` has said that
        it is dead: until then it is only slow, for ten seconds. ``only_released`` takes none but those. ``now`` and
        ``until`` are of :func:`app.clock.lease_now`.
        """
        expired = (
            calls.c.status.in_(LIVE)
            & calls.c.owner.is_not(None)
            & (is_released() if only_released else is_expired(owner, now))
            & or_(calls.c.owner != owner, calls.c.call_id.not_in(alive))
        )
        found = select(calls.c.call_id).where(expired).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()) is None:
            return []  # as nearly always: no other process has to wait for a write that changes nothing
        statement = (
            update(calls)
            .where(expired)
            .values(owner=owner, fence=calls.c.fence + 1, lease_until=until)
            .returning(calls)
        )
        rows = await self._database.write(lambda connection: connection.execute(statement).all())
        return [_call(row) for row in rows]

    async def claim_unowned(self, owner: str, until: float, limit: int) -> list[CallRow]:
        """Own up to ``limit`` calls that are to be placed and have no owner, the oldest first; each has one taker.

        Given with their new fence, and a lease until ``until``, on the clock of leases. Those that are to be placed
        before ``until`` are left for :meth:`claim_overdue`.
        """
        in_time = or_(calls.c.lease_until.is_(None), calls.c.lease_until > until)
        unowned = (
            select(calls.c.call_id).where(_UNOWNED & in_time).order_by(calls.c.started_at, calls.c.call_id).limit(limit)
        )
        return await self._claim(calls.c.call_id.in_(unowned), owner, until)

    async def claim_overdue(self, now: float, owner: str, until: float) -> list[CallRow]:
        """Own the calls that were to be placed before ``now`` and have no owner yet.

        An older version of the service has not said until when.
        """
        return await self._claim_if_any(_UNOWNED & (func.coalesce(calls.c.lease_until, RELEASED) < now), owner, until)

    async def claim_hung_up(self, owner: str, until: float) -> list[CallRow]:
        """Own the calls that have no owner yet and that somebody has asked to hang up."""
        asked = select(call_requests.c.request_id).where(
            call_requests.c.call_id == calls.c.call_id, call_requests.c.kind == "hangup"
        )
        return await self._claim_if_any(_UNOWNED & asked.exists(), owner, until)

    async def _claim_if_any(self, which: ColumnElement[bool], owner: str, until: float) -> list[CallRow]:
        """There is none nearly always, and no other process has to wait for a write that changes nothing."""
        found = select(calls.c.call_id).where(which).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()) is None:
            return []
        return await self._claim(which, owner, until)

    async def _claim(self, which: ColumnElement[bool], owner: str, until: float) -> list[CallRow]:
        statement = (
            update(calls).where(which).values(owner=owner, fence=calls.c.fence + 1, lease_until=until).returning(calls)
        )
        rows = await self._database.write(lambda connection: connection.execute(statement).all())
        return sorted(map(_call, rows), key=lambda call: (call.started_at, call.call_id))

    async def is_any_unclaimed(self) -> bool:
        """Whether a caller waits in the inbox, or a call that is to be placed has no owner."""
        return await self._database.read(lambda connection: bool(connection.execute(_IS_ANY_UNCLAIMED).scalar_one()))

    async def release_leases(self, owner: str) -> int:
        """The owner is dead: its live calls may be taken over at once; gives their number."""
        statement = update(calls).where(calls.c.owner == owner, calls.c.status.in_(LIVE)).values(lease_until=RELEASED)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def of_room(self, room_sid: str) -> list[CallRow]:
        """The calls that were, or are, held in that room of LiveKit."""
        statement = select(calls).where(calls.c.room_sid == room_sid)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [_call(row) for row in rows]

    async def count_live(self) -> int:
        """Calls of all processes that have not ended."""
        return await self._database.read(_count_live)

    async def oldest_start(self) -> str | None:
        """When the oldest call began, as ISO UTC; None when there is no call."""
        statement = select(func.min(calls.c.started_at))
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def known(self, call_ids: Iterable[str]) -> set[str]:
        """Those of the calls that are there; at most some hundreds are asked for at once."""
        statement = select(calls.c.call_id).where(calls.c.call_id.in_(list(call_ids)))
        return await self._database.read(lambda connection: set(connection.execute(statement).scalars()))

    async def count_owned(self) -> int:
        """Those of them that a process has; the others are still to be placed."""
        statement = select(func.count()).where(calls.c.status.in_(LIVE), calls.c.owner.is_not(None))
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def delete(self, call_id: str) -> None:
        """Erase the call, its journal and its session, also from the pages and the log of the database file.

        Of the request that placed it there stays that it was made, and when; neither whom it was to call nor with what.

        Raises CallNotFound, CallStillLive.
        """
        await self._database.write(partial(_delete, call_id))
        self._is_in_log = True
        await self.empty_log()
        if self._is_in_log:
            log.warning("call.erasure_delayed", call_id=call_id)

    async def empty_log(self) -> None:
        """Have the database's log hold nothing of what was erased, unless it does so already, or is in use."""
        if self._is_in_log:
            with suppress(StorageError):
                self._is_in_log = not await self._database.truncate_log()

    async def list(
        self, wanted: CallFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[CallRow], str | None]:
        """Up to ``limit`` calls, newest first, and the cursor of the next page, None on the last.

        Calls that start while pages are read are on none of the later pages, and no call is on two. Raises
        InvalidRequest for a cursor that was not given out here.
        """
        statement = list_statement(wanted, limit=limit + 1, after=None if cursor is None else decode_cursor(cursor))
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        page = [_call(row) for row in rows[:limit]]
        return page, encode_cursor(page[-1].started_at, page[-1].call_id) if len(rows) > limit else None


def create_call(row: CallRow, max_live: int | None, connection: Connection) -> None:
    """Insert a call as :meth:`CallStore.create` does, in a transaction that holds more."""
    same = (calls.c.room_sid == row.room_sid) & (calls.c.sip_call_id == row.sip_call_id)
    if row.room_sid is not None and connection.execute(select(calls.c.call_id).where(same)).first():
        raise CallTaken("this telephone call was taken before")
    if max_live is not None and _count_live(connection) >= max_live:
        raise AtCapacity(f"all {max_live} places for calls are taken")
    connection.execute(insert(calls), asdict(row))


def end_call(connection: Connection, call_id: str, fence: int, ending: CallEnding) -> None:
    """Mark a live call as ended, in the transaction that writes its last journal row."""
    connection.execute(
        update(calls)
        .where(calls.c.call_id == call_id, calls.c.fence == fence, calls.c.status.in_(LIVE))
        .values(status="ended", lease_until=None, over_since=lease_now(), **asdict(ending))
    )


def _renew_leases(owner: str, call_ids: Collection[str], until: float, connection: Connection) -> set[str]:
    if not call_ids:
        if _count_live(connection):
            prove_writable(connection)
        return set()
    held = calls.c.call_id.in_(call_ids)
    connection.execute(
        update(calls).where(held, calls.c.status.in_(LIVE), calls.c.owner == owner).values(lease_until=until)
    )
    lost = select(calls.c.call_id).where(held, calls.c.owner != owner)
    return set(connection.execute(lost).scalars())


def _call(row: Row[Any]) -> CallRow:
    return CallRow(**row._mapping)


def _count_live(connection: Connection) -> int:
    return connection.execute(select(func.count()).where(calls.c.status.in_(LIVE))).scalar_one()


def _mark_answered(call_id: str, fence: int, at: str, connection: Connection) -> None:
    answered = (
        update(calls)
        .where(calls.c.call_id == call_id, calls.c.fence == fence, calls.c.status == "ringing")
        .values(status="active", answered_at=at)
    )
    if connection.execute(answered).rowcount:
        return
    row = connection.execute(select(calls.c.status, calls.c.fence).where(calls.c.call_id == call_id)).one_or_none()
    if row is None:
        raise CallNotFound("there is no such call")
    if row.fence != fence:
        raise OwnershipLost("another process owns the call now")
    if row.status == "ended":
        raise CallAlreadyEnded("the call has ended")


def _delete(call_id: str, connection: Connection) -> None:
    status = connection.execute(select(calls.c.status).where(calls.c.call_id == call_id)).scalar_one_or_none()
    if status is None:
        raise CallNotFound("there is no such call")
    if status != "ended":
        raise CallStillLive("the call has not ended yet")
    connection.execute(delete(sessions).where(sessions.c.call_id == call_id))
    requested = idempotency_keys.c.call_id == call_id
    connection.execute(update(idempotency_keys).where(requested).values(body_hash=ERASED_BODY))
    room = select(calls.c.room_sid).where(calls.c.call_id == call_id).scalar_subquery()
    connection.execute(delete(webhook_inbox).where(webhook_inbox.c.room_sid == room))
    connection.execute(delete(calls).where(calls.c.call_id == call_id))  # its journal goes with it
