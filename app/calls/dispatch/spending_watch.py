"""Shows what the calls of today have cost."""

import asyncio
from collections.abc import Callable

from app.clock import utc_now
from app.observability.listeners import Listeners
from app.storage.spending import DaySpending, SpendingStore

_LOOK_SECONDS = 5.0


class SpendingWatch:
    """Keeps the spending of today at hand for ``/health`` and the metrics.

    Task ledger: loop ``spending`` reads it every 5 s. It ends at shutdown.
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

    async def look(self) -> None:
        """One round of the loop. Raises StorageError."""
        self.latest = await self._store.of_day(utc_now())
        self._on_read(self.latest)
        await asyncio.sleep(_LOOK_SECONDS)
