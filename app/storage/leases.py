"""Leases of calls: until when a process owns a call, on a clock that starts anew with each boot of the machine."""

from sqlalchemy import ColumnElement, Connection, case, delete, false, insert, or_, select, update

from app.storage.schema import calls, lease_boot

RELEASED = 0.0
"""The lease of a call whose owner is known to be dead; any process may take the call over at once."""
_SLOW_SECONDS = 10.0
"""For so long a worker may be too busy to renew its leases; losing its calls would be worse for their callers."""


def release_leases_of_earlier_boots(connection: Connection, boot: str) -> None:
    """No process outlives its machine: calls that lived before this boot have nobody.

    To be done by each start, before any process renews a lease.
    """
    if connection.execute(select(lease_boot.c.boot)).scalars().all() == [boot]:
        return
    connection.execute(update(calls).where(calls.c.lease_until.is_not(None)).values(lease_until=RELEASED))
    connection.execute(update(calls).where(calls.c.over_since.is_not(None)).values(over_since=None))
    connection.execute(delete(lease_boot))
    connection.execute(insert(lease_boot), {"boot": boot, "proofs": 0})


def prove_writable(connection: Connection) -> None:
    """Write something: on a full disk this fails, as a renewal does."""
    connection.execute(update(lease_boot).values(proofs=lease_boot.c.proofs + 1))


def is_released() -> ColumnElement[bool]:
    """Whether somebody said that the owner of the call is dead."""
    return calls.c.lease_until == RELEASED


def is_expired(owner: str, now: float) -> ColumnElement[bool]:
    """Whether the owner of the call is taken for dead at ``now``: it has not renewed the lease.

    A sibling of ``owner`` is only slow, for ten seconds: its supervisor knows whether it is dead.
    """
    return or_(is_released(), calls.c.lease_until < case((_is_sibling(owner), now - _SLOW_SECONDS), else_=now))


def _is_sibling(owner: str) -> ColumnElement[bool]:
    """Whether a call is another worker's under the same supervisor, which tells when one of them dies."""
    family, dot, _ = owner.partition(".")
    return (calls.c.owner != owner) & calls.c.owner.startswith(family + dot, autoescape=True) if dot else false()
