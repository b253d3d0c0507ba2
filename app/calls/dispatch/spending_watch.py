"""Shows what was spent today, and adds to it what belongs to no call."""

import asyncio
from collections.abc import Callable

from app.clock import utc_now
from app.observability.listeners import Listeners
from app.storage.spending import DaySpending, SpendingStore

_LOOK_SECONDS = 5.0


class SpendingWatch:
    """Keeps the spending of today at hand for ``/health`` and the metrics.

    Task ledger: loop ``spending`` reads it every 5 s, after it has added what was noted. It ends at shutdown; what was
    noted in its last seconds is then lost.
    """

    def __init__(
        self, store: SpendingStore, *, day_limit: float | None, on_read: Callable[[DaySpending], None]
    ) -> None:
        self._store = store
        self.day_limit = day_limit
        """In US dollars; None for no limit."""
        self.latest: DaySpending | None = None
        """None until it is read for the first time."""
        self._on_read = Listeners("spending.read", on_read)
        self._noted_usd = 0.0
        """Not in the store yet."""

    def note(self, cost: float | None) -> None:
        """Note what a probe, a prepared phrase or an analysis has cost, in US dollars; None counts as nothing."""
        self._noted_usd += cost or 0.0

    async def look(self) -> None:
        """One round of the loop. Raises StorageError."""
        now, noted = utc_now(), self._noted_usd
        if noted:
            await self._store.add(noted, now)
            self._noted_usd -= noted
        self.latest = await self._store.of_day(now)
        self._on_read(self.latest)
        await asyncio.sleep(_LOOK_SECONDS)
