"""Limits the websockets that have not sent ``start`` yet, and whose call is therefore unknown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from routers.client_watch import within_files

UNSTARTED_MAX = 200


class Unstarted:
    """At most ``limit`` in one process. Above it, the one that has waited longest times out."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = within_files(UNSTARTED_MAX) if limit is None else limit
        self._waiting: dict[asyncio.Timeout, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Wait for ``start`` inside. Raises TimeoutError when too many others wait."""
        async with asyncio.timeout(None) as patience:
            self._waiting[patience] = None
            try:
                if len(self._waiting) > self._limit:
                    oldest = next(iter(self._waiting))
                    del self._waiting[oldest]
                    oldest.reschedule(0)
                yield
            finally:
                self._waiting.pop(patience, None)
