"""An event loop whose clock leaves out the time that other programs took from this one."""

import asyncio
import selectors
import time

from tests.support.loop_selector import LoopSelector


class _CountingSelector(LoopSelector):
    """Counts the time of real waits."""

    def __init__(self, loop: "SteadyTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        before, worked_before = asyncio.SelectorEventLoop.time(self._loop), time.process_time()
        ready = self.real.select(timeout)
        waited = asyncio.SelectorEventLoop.time(self._loop) - before
        self._loop.waited += waited if timeout is None else min(waited, timeout)
        self._loop.others_worked += time.process_time() - worked_before
        return ready


class SteadyTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` is the CPU time of this process plus the time that it chose to wait.

    So a deadline of 100 ms between a client and a server in this process holds even when ten programs share a core: a
    message that has arrived is read before any time passes. Waiting for another process or a thread takes real time.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self.others_worked = 0.0
        """CPU time of other threads while the loop waited; it is already part of ``waited``."""
        super().__init__(_CountingSelector(self))

    def time(self) -> float:
        return self.waited + time.process_time() - self.others_worked
