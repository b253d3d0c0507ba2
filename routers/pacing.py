"""Does the work of unknown clients in small portions, so that live calls get their turn in between."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

STARTS_AT_ONCE = 8
"""How many requests start in one round of the event loop. A thousand at once would delay the audio of all calls."""

_T = TypeVar("_T")


class Pacer:
    """Runs callbacks in order, a few in each round of the event loop. Its users bound how many wait."""

    def __init__(self, at_once: int = STARTS_AT_ONCE) -> None:
        self._at_once = at_once
        self._waiting: deque[Callable[[], object]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, start: Callable[[], object]) -> None:
        """Run ``start`` in the next round of the loop, or soon after."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        self._waiting.append(start)

    def _run(self) -> None:
        portion = [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        for start in portion:
            start()


class OneAtATime(Generic[_T]):
    """Makes a costly value once for everyone who asks at the same time.

    A request that comes while a value is being made waits for the next one. So the work on a value always starts after
    the request for it.
    """

    def __init__(self, make: Callable[[], Awaitable[_T]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._begun = 0
        self._made: tuple[int, _T] | None = None

    async def get(self) -> _T:
        """A fresh value. Raises what making it raises."""
        wanted = self._begun + 1
        async with self._lock:
            if self._made is not None and self._made[0] >= wanted:
                return self._made[1]
            self._begun += 1
            number = self._begun
            made = await self._make()
            self._made = number, made
            return made
