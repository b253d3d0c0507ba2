"""An event loop whose clock jumps to the next timer: an hour of waiting takes no time, in a fixed order."""

import asyncio
import selectors

from tests.support.loop_selector import LoopSelector


class Deadlock(AssertionError):
    """Every task waits, and no timer is set."""


class _JumpingSelector(LoopSelector):
    """Never waits: where the loop would sleep, its clock jumps instead."""

    def __init__(self, loop: "VirtualTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        self._loop.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` starts at 0 and moves only when every task waits. No threads, no sockets."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now
