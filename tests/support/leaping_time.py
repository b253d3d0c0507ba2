"""An event loop whose clock leaps over waits, although it has real sockets and threads.

Clients, servers and callers on one such loop hold a call of half a minute in a second or two. CPU time counts for
nothing: whatever arrives on a socket of this machine, or comes out of a thread, arrives at the moment it was sent. So
the times of a call are those of a machine that is never busy, and nearly the same in every run.
"""

import asyncio
import os
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.support.loop_selector import LoopSelector

_THREADS = "/proc/self/task"
_GRACE_SECONDS = 0.0002
"""How long to look, in real time, whether a socket or a thread still has something."""
_QUIET_SHARE, _QUIET_SECONDS = 0.01, 0.25
"""For how much of a leap, and for how long at most, all must be quiet: a thread may wait for the interpreter's lock."""
_STUCK_SECONDS = 60.0
"""A thread that works for longer no longer holds up the clock."""


class _LeapingSelector(LoopSelector):
    """Waits in real time for threads and programs only."""

    def __init__(self, loop: "LeapingTimeLoop") -> None:
        super().__init__()
        self._loop = loop

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        began = quiet_since = self._real_time()
        while True:
            worked = _worked_elsewhere()
            if ready := self.real.select(_GRACE_SECONDS):
                return ready
            now = self._real_time()
            if _worked_elsewhere() != worked or self._loop.is_busy_elsewhere or _is_a_thread_at_work():
                quiet_since = now
            if timeout is not None:
                is_quiet = now - quiet_since >= min(timeout * _QUIET_SHARE, _QUIET_SECONDS)
                if is_quiet or now - began > _STUCK_SECONDS:
                    self._loop.now += timeout
                    return []

    def _real_time(self) -> float:
        return asyncio.SelectorEventLoop.time(self._loop)


class LeapingTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` moves only when every task waits for it, no socket has anything, and no thread works."""

    def __init__(self) -> None:
        self.now = 0.0
        self._threads_busy = 0
        self._programs: set[Any] = set()
        super().__init__(_LeapingSelector(self))

    def time(self) -> float:
        return self.now

    @property
    def is_busy_elsewhere(self) -> bool:
        """Whether a thread or a program works for a task of this loop."""
        self._programs = {each for each in self._programs if each.get_returncode() is None}
        return bool(self._threads_busy or self._programs)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        running = super().run_in_executor(executor, func, *args)
        self._threads_busy += 1
        running.add_done_callback(self._thread_is_done)
        return running

    def _thread_is_done(self, _running: "asyncio.Future[Any]") -> None:
        self._threads_busy -= 1

    async def _make_subprocess_transport(self, *args: Any, **options: Any) -> Any:
        program = await super()._make_subprocess_transport(*args, **options)
        self._programs.add(program)
        return program


def _worked_elsewhere() -> float:
    """CPU seconds of the other threads of this process so far; exact to 10 microseconds."""
    return round(time.process_time() - time.thread_time(), 5)


def _is_a_thread_at_work() -> bool:
    """Whether another thread of this process runs, wants to run, or waits for a disk."""
    own = str(threading.get_native_id())
    return any(_state(thread) in (b"R", b"D") for thread in os.listdir(_THREADS) if thread != own)  # noqa: PTH208


def _state(thread: str) -> bytes:
    """The letter of proc(5); empty for a thread that has ended."""
    try:
        file = os.open(f"{_THREADS}/{thread}/stat", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 512).rpartition(b")")[2][1:2]
    finally:
        os.close(file)
