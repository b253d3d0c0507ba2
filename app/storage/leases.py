"""Leases of calls: until when a process owns a call, on a clock that starts at each boot of the machine."""

from sqlalchemy import ColumnElement, Connection, case, delete, false, func, insert, or_, select, true, update

from app.storage.dialects.statements import is_postgres
from app.storage.schema import analysis_jobs, calls, lease_boot, service_jobs, webhook_deliveries

RELEASED = 0.0
"""The lease of a call whose owner is dead: any process may take the call over at once."""
_SLOW_SECONDS = 10.0
"""How long a sibling may fail to renew its leases because it is busy; losing its calls would be worse for callers."""


_ALIVE_SECONDS = 1.5
"""How long before its lease runs out an owner is last known to live: it renews two seconds, each half a second."""

CLIENT_SECONDS = 10.0
"""How long the client of a websocket has to come back."""


def alive_at(now: float) -> ColumnElement[float]:
    """When the owner of a call, who is dead at ``now``, was last known to live, on the clock of the leases."""
    by_lease = calls.c.lease_until - _ALIVE_SECONDS
    return case((is_released(), calls.c.alive_at), (by_lease > now, now), else_=by_lease)


def waits_for_client(now: float, since: float) -> ColumnElement[bool]:
    """Whether the client of a call, whose owner is dead, may still come back over another websocket.

    ``since``: when this process began to look. The client of a service that starts again has had nowhere to go.
    """
    can_return = calls.c.resume_hash.is_not(None)
    if now - since < CLIENT_SECONDS:
        return can_return
    return can_return & (func.coalesce(alive_at(now), RELEASED) > now - CLIENT_SECONDS)


def release_leases_of_earlier_boots(connection: Connection, boot: str) -> None:
    """Release all leases from before this boot: their owners cannot be alive.

    Every start does this before any process renews a lease.
    """
    if connection.execute(select(lease_boot.c.boot)).scalars().all() == [boot]:
        return
    connection.execute(
        update(calls).where(calls.c.lease_until.is_not(None)).values(lease_until=RELEASED, alive_at=None)
    )
    connection.execute(update(calls).where(calls.c.over_since.is_not(None)).values(over_since=None))
    connection.execute(delete(lease_boot))
    connection.execute(insert(lease_boot), {"boot": boot, "proofs": 0})


def release_claims(connection: Connection) -> None:
    """Release all claims of work beside the calls. Only for a start, when no worker is alive that could hold one."""
    for table in (analysis_jobs, webhook_deliveries, service_jobs):
        connection.execute(update(table).where(table.c.lease_until.is_not(None)).values(lease_until=None))


def prove_writable(connection: Connection) -> None:
    """Write a value; on a full disk this fails, as a renewal would."""
    if is_postgres(connection):  # into its log alone: all processes of all machines would wait for one row
        connection.execute(select(func.pg_logical_emit_message(true(), "voice-agent", "")))
        return
    connection.execute(update(lease_boot).values(proofs=lease_boot.c.proofs + 1))


def is_released() -> ColumnElement[bool]:
    """Whether the call's lease was released because its owner is dead."""
    return calls.c.lease_until == RELEASED


def is_expired(owner: str, now: float) -> ColumnElement[bool]:
    """Whether the call's lease has expired at ``now``, so that its owner counts as dead.

    A sibling of ``owner`` has ten seconds more: it may only be slow, and its supervisor notices when it dies.
    """
    return or_(is_released(), calls.c.lease_until < case((_is_sibling(owner), now - _SLOW_SECONDS), else_=now))


def _is_sibling(owner: str) -> ColumnElement[bool]:
    """Whether the call belongs to another worker of the same supervisor, which releases the calls of dead workers."""
    family, dot, _ = owner.partition(".")
    return (calls.c.owner != owner) & calls.c.owner.startswith(family + dot, autoescape=True) if dot else false()
