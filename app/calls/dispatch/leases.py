"""When a process may take another one for dead."""

from collections.abc import Callable

LEASE_SECONDS = 2.0
"""For so long a call belongs to who renewed its lease."""
RENEW_SECONDS = 0.5
_GAP_SECONDS = 1.0
"""Between two renewals, at most: then nobody's lease has run out because of what was in the way of both."""


class LeaseWatch:
    """Whether this process may judge others by their leases.

    A lease has run out because its owner is dead, or because something kept the owner from renewing it: a locked
    database, a machine that slept. What kept others also kept this process. So a process that could not renew its own
    leases judges nobody until it has renewed them for a whole lease period: by then every living process has done so.

    ``clock`` is :func:`app.clock.lease_now`, which goes on while the process is stopped or the machine sleeps.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._renewed_at: float | None = None
        self._in_order_since = 0.0

    def __repr__(self) -> str:
        return f"<LeaseWatch {'may' if self.may_judge() else 'may not'} judge>"

    def renewed(self) -> None:
        """This process has just renewed its leases, or has shown that it could."""
        now = self._clock()
        if self._renewed_at is None or now - self._renewed_at > _GAP_SECONDS:
            self._in_order_since = now
        self._renewed_at = now

    def may_judge(self) -> bool:
        """Whether renewing has worked without a gap for the length of a lease, and still does."""
        if self._renewed_at is None:
            return False
        now = self._clock()
        return now - self._renewed_at <= _GAP_SECONDS and now - self._in_order_since >= LEASE_SECONDS
