"""An event loop whose clock jumps to the next timer: an hour of waiting takes no time and has one order."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class Deadlock(AssertionError):
    """Every task waits and no timer will ever fire."""


class _JumpingSelector(selectors.BaseSelector):
    """Never waits: where the loop would sleep, its clock is moved instead."""

    def __init__(self, loop: "VirtualTimeLoop") -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        self._loop.now += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` starts at 0 and moves only when every task waits. No threads, no sockets."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now
