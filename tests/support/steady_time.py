"""An event loop for which the machine is never late: what other programs took from this one is no time."""

import asyncio
import selectors
import time

from tests.support.loop_selector import LoopSelector


class _CountingSelector(LoopSelector):
    """Counts what was waited for, and only when nothing was there to be done."""

    def __init__(self, loop: "SteadyTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self.real.select(0)
        if ready or timeout == 0:
            return ready
        before, worked_before = asyncio.SelectorEventLoop.time(self._loop), time.process_time()
        ready = self.real.select(timeout)
        waited = asyncio.SelectorEventLoop.time(self._loop) - before
        self._loop.waited += waited if timeout is None else min(waited, timeout)
        self._loop.others_worked += time.process_time() - worked_before
        return ready


class SteadyTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` is the time that this process worked, and the time that it waited as long as it wanted to.

    So a deadline of 100 ms between a client and a server in this process is as long when ten programs share a core:
    a message that is there is read before any time passes. Waiting for another process or a thread is real time.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self.others_worked = 0.0
        """By threads of this process, while the loop waited: their time is in ``waited`` already."""
        super().__init__(_CountingSelector(self))

    def time(self) -> float:
        return self.waited + time.process_time() - self.others_worked
