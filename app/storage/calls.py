"""Call records: who called, which process owns the call, how it ended."""

import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

import structlog
from sqlalchemy import ColumnElement, Connection, Float, Row, delete, func, insert, or_, select, update

from app.clock import iso_utc, lease_now, utc_now
from app.errors import AtCapacity, CallAlreadyEnded, CallNotFound, CallStillLive, CallTaken, OwnershipLost, StorageError
from app.models import Direction, Retention
from app.ports.services import CallEnding
from app.storage.analyses import request_analysis
from app.storage.call_lists import CallFilter, decode_cursor, encode_cursor, list_statement
from app.storage.call_words import common_words, erase_words, store_words
from app.storage.compressions import request_compression
from app.storage.database import Database
from app.storage.dialects.statements import Lock, hold, keep_rows, unclaimed
from app.storage.figures import count_call
from app.storage.lease_sightings import LeaseSightings
from app.storage.leases import RELEASED, alive_at, is_expired, is_released, prove_writable, waits_for_client
from app.storage.outbox import announce_placed, emit
from app.storage.overwriting import overwrite_rows
from app.storage.schema import (
    ERASED_BODY,
    call_requests,
    calls,
    erased_calls,
    idempotency_keys,
    journal,
    sessions,
    webhook_inbox,
)
from app.storage.service_orders import orders_now
from app.storage.spending import Reservation, check_fits, forget_call, reserve, reserve_anew, settle

log = structlog.get_logger(__name__)

Kind = Literal["websocket", "room"]
Status = Literal["ringing", "active", "ended"]

LIVE: tuple[Status, ...] = ("ringing", "active")
_UNOWNED = (calls.c.status == "ringing") & (calls.c.direction == "outbound") & calls.c.owner.is_(None)
"""An outbound call that no process has claimed yet."""
_IS_ANY_UNCLAIMED = select(
    or_(
        select(webhook_inbox.c.event_id).where(webhook_inbox.c.taken_at.is_(None)).exists(),
        select(calls.c.call_id).where(_UNOWNED).exists(),
    )
)
"""Each process runs this query twenty times a second, so it is built once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as it is stored. Times of day are ISO UTC, as :func:`app.clock.iso_utc` writes them."""

    call_id: str
    kind: Kind
    direction: Direction
    status: Status
    created_at: str
    started_at: str
    version: str
    """The version of the service that took the call."""
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
    agent: str | None = None
    """The name of the agent; None in calls of older versions."""
    variables: dict[str, Any] = field(default_factory=dict)
    """What the request for the call set for the agent's variables."""
    summary: dict[str, Any] | None = None
    """Computed at the end of the call: latency, token usage, costs, provider ids."""
    owner: str | None = None
    """The unique name of the owning process. Workers of one supervisor share the part before the dot."""
    fence: int = 1
    """The fencing token: each take-over increments it, and a process with an older one has lost the call."""
    lease_until: float | None = None
    """On the clock of :func:`app.clock.lease_now`; after that another process may take the call over.

    For a call without an owner: the deadline for placing it.
    """
    alive_at: float | None = None
    """When the owner before this one was last known to live, on the same clock; None if nobody knows."""
    over_since: float | None = None
    """When the call ended, on the clock of :func:`app.clock.lease_now`; None while live or if before this boot."""
    room_sid: str | None = None
    """The id of the LiveKit room; unique together with ``sip_call_id``."""
    sip_call_id: str | None = None
    seal: str | None = None
    """The hash of the last row of the journal; None while the call lives, and in calls of versions without seals."""
    analysis: dict[str, Any] | None = None
    """What came of the call, as :mod:`app.storage.analyses` writes it; None if nothing was said in it."""
    words_id: int | None = None
    """The row of the call's words in ``call_texts``."""
    retention: dict[str, int] | None = None
    """For how many days parts of the call are kept, where its agent says so; see :class:`app.models.Retention`."""
    recording_erased_at: str | None = None
    words_erased_at: str | None = None
    words_left_from: int | None = None
    """While the words are being erased, the first row of the journal that may still have some."""
    unanswered: int | None = None
    """Turns of the caller that were never answered; None while the call lives, and in calls of older versions."""
    late: int | None = None
    """Answers that came later than the policy allows; likewise."""
    resume_hash: str | None = None
    """The hashes of the tokens with which the client of a websocket goes on with its call."""
    synthetic: bool = False
    """Whether the service placed the call to check itself."""


class CallStore:
    """The records of all calls. Every method may raise StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sightings = LeaseSightings(database)
        self._looks_since: float | None = None  # when this process first looked for calls of dead ones
        self._is_in_log = True
        """Whether the write-ahead log may contain erased data; True after a start, because it is unknown."""

    async def create(
        self, row: CallRow, *, max_live: int | None = None, reservation: Reservation | None = None
    ) -> None:
        """Insert a call.

        Raises CallTaken when the same telephone call exists already and has not lost its room, AtCapacity when all
        processes together have ``max_live`` live calls, SpendingLimitReached when the reservation does not fit into the
        day's limits, and ServicePaused. Without ``max_live`` the call is none that is taken.
        """
        await self._database.write(partial(create_call, row, max_live, reservation))

    async def check_spending(self, reservation: Reservation, now: datetime) -> None:
        """Check that a call could reserve that now. Raises SpendingLimitReached."""
        await self._database.read(lambda connection: check_fits(connection, reservation, iso_utc(now)))

    async def get(self, call_id: str) -> CallRow | None:
        """The call, or None."""
        statement = select(calls).where(calls.c.call_id == call_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else call_of(row)

    async def mark_answered(self, call_id: str, fence: int, at: str) -> None:
        """Mark the call as active since ``at`` (ISO UTC); only the first answer counts.

        Raises OwnershipLost, CallAlreadyEnded, CallNotFound.
        """
        await self._database.write(partial(_mark_answered, call_id, fence, at))

    async def note_telephone(
        self, call_id: str, fence: int, *, room_sid: str | None = None, sip_call_id: str | None = None
    ) -> None:
        """Store the room of an outbound call and LiveKit's id of the SIP call, once they are known."""
        known = {name: value for name, value in (("room_sid", room_sid), ("sip_call_id", sip_call_id)) if value}
        statement = update(calls).where(calls.c.call_id == call_id, calls.c.fence == fence).values(**known)
        await self._database.write(lambda connection: connection.execute(statement))

    async def settle_agent(
        self, call_id: str, fence: int, *, is_recorded: bool, retention: Retention, reservation: Reservation
    ) -> None:
        """Store which agent carries an outbound call, now that its lookup has answered, and announce the call.

        It reserves in place of the agent that the request named. Raises SpendingLimitReached; then nothing has changed.
        """
        values = {"agent": reservation.agent, "recording": is_recorded, "retention": retention.own()}
        await self._database.write(partial(_settle_agent, call_id, fence, values, reservation))

    async def renew_leases(self, owner: str, call_ids: Collection[str], until: float) -> set[str]:
        """Renew the owner's leases on these calls until ``until``; returns the calls that another process owns now.

        An owner without calls also writes, as long as any process has calls, to show whether it could renew a lease.
        """
        return await self._database.write(partial(_renew_leases, owner, call_ids, until))

    async def take_over_expired(
        self, now: float, owner: str, *, until: float, alive: Collection[str] = (), only_released: bool = False
    ) -> list[CallRow]:
        """Take over live calls whose lease has expired, with a lease until ``until``; returns them with the new fence.

        If several processes try, one of them gets each call. The owner's own calls are taken too, except those in
        ``alive``. Calls of a worker under the same supervisor are taken at once after :meth:`release_leases`, and
        otherwise only ten seconds later, because the worker may just be slow. With ``only_released`` only released
        calls are taken. A call whose client may still come back over another websocket is left to that client.
        ``now`` and ``until`` are on the clock of :func:`app.clock.lease_now`.
        """
        if self._looks_since is None:
            self._looks_since = now
        expired = (
            calls.c.status.in_(LIVE)
            & calls.c.owner.is_not(None)
            & (is_released() if only_released else is_expired(owner, now))
            & ~waits_for_client(now, self._looks_since)
            & or_(calls.c.owner != owner, calls.c.call_id.not_in(alive))
        )
        if not (dead := await self._sightings.unmoved(expired)):
            return []  # the usual case: no other process waits for a write that changes nothing
        expired, renewed = expired & calls.c.call_id.in_(dead), {"lease_until": until, "alive_at": alive_at(now)}
        return await self._database.write(partial(_claim, expired, None, owner, renewed))

    async def claim_unowned(self, owner: str, until: float, limit: int) -> list[CallRow]:
        """Claim up to ``limit`` outbound calls without an owner, oldest first; each goes to one process.

        Returns them with their new fence and a lease until ``until``, on the lease clock. Calls whose deadline for
        placing lies before ``until`` are left to :meth:`claim_overdue`.
        """
        in_time = or_(calls.c.lease_until.is_(None), calls.c.lease_until > until)
        return await self._database.write(partial(_claim, _UNOWNED & in_time, limit, owner, {"lease_until": until}))

    async def claim_overdue(self, now: float, owner: str, until: float) -> list[CallRow]:
        """Claim the calls without an owner whose deadline for placing has passed.

        Calls from an older version of the service have no deadline.
        """
        return await self._claim_if_any(_UNOWNED & (func.coalesce(calls.c.lease_until, RELEASED) < now), owner, until)

    async def claim_hung_up(self, owner: str, until: float) -> list[CallRow]:
        """Claim the calls without an owner that an operator has asked to hang up."""
        asked = select(call_requests.c.request_id).where(
            call_requests.c.call_id == calls.c.call_id, call_requests.c.kind == "hangup"
        )
        return await self._claim_if_any(_UNOWNED & asked.exists(), owner, until)

    async def _claim_if_any(self, which: ColumnElement[bool], owner: str, until: float) -> list[CallRow]:
        """Look before claiming: usually there is none, and no other process waits for a write that changes nothing."""
        found = select(calls.c.call_id).where(which).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()) is None:
            return []
        return await self._database.write(partial(_claim, which, None, owner, {"lease_until": until}))

    async def is_any_unclaimed(self) -> bool:
        """Whether a caller waits in the inbox, or an outbound call has no owner."""
        return await self._database.read(lambda connection: bool(connection.execute(_IS_ANY_UNCLAIMED).scalar_one()))

    async def release_leases(self, owner: str) -> int:
        """Release a dead owner's leases, so that its live calls can be taken over at once; returns their number."""
        its_own = update(calls).where(calls.c.owner == owner, calls.c.status.in_(LIVE))
        statement = its_own.values(lease_until=RELEASED, alive_at=alive_at(lease_now()))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def let_go(self, call_id: str, fence: int, now: float) -> None:
        """Release a live call of this process, which another takes over."""
        its_own = update(calls).where(calls.c.call_id == call_id, calls.c.fence == fence, calls.c.status.in_(LIVE))
        released = its_own.values(lease_until=RELEASED, alive_at=now)
        await self._database.write(lambda connection: connection.execute(released))

    async def other_owners(self, owner: str) -> list[str]:
        """The other processes that own live calls and are not known to be dead."""
        statement = select(calls.c.owner).distinct()
        statement = statement.where(calls.c.status.in_(LIVE), calls.c.owner != owner, ~is_released())
        return await self._database.read(lambda connection: list(connection.execute(statement).scalars()))

    async def end_without_row(self, call_id: str, fence: int, ending: CallEnding) -> None:
        """End a call whose journal cannot be read or take a last row."""
        await self._database.write(lambda connection: end_call(connection, call_id, fence, ending))

    async def of_room(self, room_sid: str) -> list[CallRow]:
        """The calls that take place, or took place, in this LiveKit room."""
        statement = select(calls).where(calls.c.room_sid == room_sid)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [call_of(row) for row in rows]

    async def count_live(self) -> int:
        """The number of live calls of all processes."""
        return await self._database.read(_count_live)

    async def oldest_start(self) -> str | None:
        """The start of the oldest call, as ISO UTC; None when there is no call."""
        statement = select(func.min(calls.c.started_at))
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def known(self, call_ids: Iterable[str]) -> set[str]:
        """Which of these calls exist; pass at most some hundreds."""
        statement = select(calls.c.call_id).where(calls.c.call_id.in_(list(call_ids)))
        return await self._database.read(lambda connection: set(connection.execute(statement).scalars()))

    async def count_owned(self) -> int:
        """The number of live calls with an owner; the others wait to be placed."""
        statement = select(func.count()).where(calls.c.status.in_(LIVE), calls.c.owner.is_not(None))
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def delete(self, call_id: str, *, by: Literal["request", "retention"] = "request") -> None:
        """Erase the call, its journal, its words and its session, also from the pages and the log of the database file.

        Of the request that placed it, only its existence and its time remain, not the number or the content. After
        ``retention``, which erases many, :meth:`empty_log` is the caller's to call.

        Raises CallNotFound, CallStillLive.
        """
        await self._database.write(partial(_delete, call_id, by))
        self.note_erased()
        if by == "request":
            await self.empty_log()
            if self._is_in_log:
                log.warning("call.erasure_delayed", call_id=call_id)

    def note_erased(self) -> None:
        """Something was erased, so that the write-ahead log still has it; :meth:`empty_log` removes it."""
        self._is_in_log = True

    async def empty_log(self) -> None:
        """Remove erased data from the write-ahead log, unless it is clean already or in use."""
        if self._is_in_log:
            with suppress(StorageError):
                self._is_in_log = not await self._database.truncate_log()

    async def list(
        self, wanted: CallFilter, *, limit: int, cursor: str | None = None
    ) -> tuple[list[CallRow], str | None]:
        """Up to ``limit`` calls, newest first, and the cursor of the next page; None on the last page, and for the
        worst calls, which have one page.

        Calls that start between two pages appear on neither, and no call appears twice. Raises InvalidRequest for a
        cursor that did not come from this method.
        """
        after = None if cursor is None else decode_cursor(cursor)
        rows = await self._database.read(partial(list_rows, wanted, limit + 1, after))
        page = rows[:limit]
        if wanted.worst_first:
            return page, None
        return page, encode_cursor(page[-1].started_at, page[-1].call_id) if len(rows) > limit else None


def list_rows(wanted: CallFilter, limit: int, after: tuple[str, str] | None, connection: Connection) -> list[CallRow]:
    """Up to ``limit`` calls after that one, newest first."""
    common = common_words(connection, wanted.text) if wanted.text is not None else frozenset[str]()
    return list(map(call_of, connection.execute(list_statement(wanted, limit=limit, after=after, common=common))))


def create_call(
    row: CallRow,
    max_live: int | None,
    reservation: Reservation | None,
    connection: Connection,
    *,
    is_announced: bool = True,
) -> None:
    """Insert a call as :meth:`CallStore.create` does, as part of a larger transaction.

    ``is_announced``: whether it is known which agent carries it, so that its webhooks say now that it has started.
    """
    hold(connection, Lock.ADMISSION)
    is_over = (calls.c.status == "ended") & (calls.c.end_reason == "media_lost")
    same = (
        (calls.c.room_sid == row.room_sid) & (calls.c.sip_call_id == row.sip_call_id) & ~func.coalesce(is_over, False)
    )
    if row.room_sid is not None and connection.execute(select(calls.c.call_id).where(same)).first():
        raise CallTaken("this telephone call was taken before")
    if max_live is not None:
        orders_now(connection).check_new_call()
        if _count_live(connection) >= max_live:
            raise AtCapacity(f"all {max_live} places for calls are taken")
    if reservation is not None:
        reserve(connection, row.call_id, reservation, row.started_at)
    connection.execute(insert(calls), asdict(row))
    if is_announced:
        emit(connection, row.call_id, "call.started", row.started_at)


def _settle_agent(
    call_id: str, fence: int, values: dict[str, Any], reservation: Reservation, connection: Connection
) -> None:
    ours = (calls.c.call_id == call_id) & (calls.c.fence == fence) & calls.c.status.in_(LIVE)
    settled = connection.execute(update(calls).where(ours).values(**values).returning(calls.c.started_at)).first()
    if settled is not None:
        reserve_anew(connection, call_id, reservation, settled.started_at)
        announce_placed(connection, call_id)


def end_call(connection: Connection, call_id: str, fence: int, ending: CallEnding, *, seal: str | None = None) -> None:
    """Mark a live call as ended, in the same transaction as its last journal row."""
    values = asdict(ending)
    said, is_analysed, _ = values.pop("said"), values.pop("is_analysed"), values.pop("answers")
    summary = ending.summary or {}
    values |= {"unanswered": (summary.get("unanswered") or {}).get("count"), "late": summary.get("late")}
    ended = connection.execute(
        update(calls)
        .where(calls.c.call_id == call_id, calls.c.fence == fence, calls.c.status.in_(LIVE))
        .values(status="ended", lease_until=None, over_since=lease_now(), seal=seal, **values)
    )
    if ended.rowcount:
        store_words(connection, call_id, said)
        settle(connection, call_id, _cost_of(ending))
        count_call(connection, call_id, ending)
        call = connection.execute(select(calls.c.synthetic, calls.c.recording).where(calls.c.call_id == call_id)).one()
        if said and is_analysed and not call.synthetic:
            request_analysis(connection, call_id, ending.ended_at)
        if call.recording:
            request_compression(connection, call_id, ending.ended_at)
        announce_placed(connection, call_id)  # it may have ended while its lookup was under way
        emit(connection, call_id, "call.ended", ending.ended_at)


def _cost_of(ending: CallEnding) -> float | None:
    """US dollars; None when a price or a usage is unknown, unless the call was never answered and so cost nothing."""
    costs = (ending.summary or {}).get("costs") or {}
    total: float | None = costs.get("total")
    return 0.0 if total is None and ending.duration_seconds == 0.0 else total


def _claim(
    which: ColumnElement[bool], limit: int | None, owner: str, lease: Mapping[str, Any], connection: Connection
) -> list[CallRow]:
    """Make the owner that of these calls, oldest first. One that another process is just claiming is not among them."""
    some = select(calls.c.call_id).where(which).order_by(calls.c.started_at, calls.c.call_id).limit(limit)
    these = connection.execute(unclaimed(some)).scalars().all()
    if not these:
        return []
    values = {"owner": owner, "fence": calls.c.fence + 1, **lease}
    claimed = update(calls).where(calls.c.call_id.in_(these)).values(**values).returning(calls)
    return sorted(map(call_of, connection.execute(claimed)), key=lambda call: (call.started_at, call.call_id))


def _renew_leases(owner: str, call_ids: Collection[str], until: float, connection: Connection) -> set[str]:
    if not call_ids:
        if _count_live(connection):
            prove_writable(connection)
        return set()
    held = calls.c.call_id.in_(call_ids)
    keep_rows(connection, select(calls.c.call_id).where(held).order_by(calls.c.call_id))
    connection.execute(
        update(calls).where(held, calls.c.status.in_(LIVE), calls.c.owner == owner).values(lease_until=until)
    )
    lost = select(calls.c.call_id).where(held, calls.c.owner != owner)
    return set(connection.execute(lost).scalars())


def call_of(row: Row[Any]) -> CallRow:
    """The call of a row of the table."""
    return CallRow(**{name: _value(name, value) for name, value in row._mapping.items()})


def _value(column: str, value: Any) -> Any:
    """A value of the column's type: SQLite keeps any value in any column, and another program may have written it."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return None if isinstance(calls.c[column].type, Float) and not is_number else value


def _count_live(connection: Connection) -> int:
    return connection.execute(select(func.count()).where(calls.c.status.in_(LIVE))).scalar_one()


def _mark_answered(call_id: str, fence: int, at: str, connection: Connection) -> None:
    answered = (
        update(calls)
        .where(calls.c.call_id == call_id, calls.c.fence == fence, calls.c.status == "ringing")
        .values(status="active", answered_at=at)
    )
    if connection.execute(answered).rowcount:
        announce_placed(connection, call_id)
        emit(connection, call_id, "call.answered", at)
        return
    row = connection.execute(select(calls.c.status, calls.c.fence).where(calls.c.call_id == call_id)).one_or_none()
    if row is None:
        raise CallNotFound("there is no such call")
    if row.fence != fence:
        raise OwnershipLost("another process owns the call now")
    if row.status == "ended":
        raise CallAlreadyEnded("the call has ended")


def _keep_seal(connection: Connection, call_id: str, by: str) -> None:
    seal = select(calls.c.seal).where(calls.c.call_id == call_id).scalar_subquery()
    kept = {"call_id": call_id, "seal": seal, "erased_at": iso_utc(utc_now()), "erased_by": by}
    connection.execute(insert(erased_calls).values(**kept))


def _delete(call_id: str, by: str, connection: Connection) -> None:
    found = select(calls.c.status).where(calls.c.call_id == call_id).with_for_update()
    status = connection.execute(found).scalar_one_or_none()
    if status is None:
        raise CallNotFound("there is no such call")
    if status != "ended":
        raise CallStillLive("the call has not ended yet")
    connection.execute(delete(sessions).where(sessions.c.call_id == call_id))
    requested = idempotency_keys.c.call_id == call_id
    connection.execute(update(idempotency_keys).where(requested).values(body_hash=ERASED_BODY))
    room = select(calls.c.room_sid).where(calls.c.call_id == call_id).scalar_subquery()
    connection.execute(delete(webhook_inbox).where(webhook_inbox.c.room_sid == room))
    erase_words(connection, call_id)
    forget_call(connection, call_id)
    _keep_seal(connection, call_id, by)
    overwrite_rows(connection, journal.c.call_id == call_id)
    connection.execute(delete(calls).where(calls.c.call_id == call_id))  # cascades to its journal
