"""An event loop whose clock leaps over waits, although it has real sockets and threads.

Clients, servers and callers on one such loop hold a call of half a minute in a second or two. CPU time counts for
nothing: whatever arrives on a socket of this machine, or comes out of a thread, arrives at the moment it was sent. So
the times of a call are those of a machine that is never busy, and nearly the same in every run.

The loop knows which threads work: those that it has given a job, those of the database's driver, and any other that was
started since, unless that waits to be notified. The system's view of a thread is no help: one that waits for the
interpreter's lock looks idle.
"""

import asyncio
import os
import selectors
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread as pools
from queue import SimpleQueue
from types import FrameType
from typing import Any, Final

from aiosqlite import core as aiosqlite

from tests.support.loop_selector import LoopSelector

_LOOK_SECONDS = 0.001
"""How long to wait, in real time, for a thread or a program before looking again."""
_STUCK_SECONDS = 60.0
"""A thread that works for longer no longer holds up the clock."""
_ROUNDS_MAX = 100_000
"""A loop that runs so often while no time passes will do so for ever."""
_WAITS: Final = threading.Condition.wait.__code__
_WORKERS: Final = {pools._worker.__code__: "work_queue", aiosqlite._connection_worker_thread.__code__: "tx"}
"""Functions that wait for jobs, and the queue of each."""


_OF_THE_DATABASE: Final = {"storage.notice", "storage.read", "storage.write"}
"""Tasks that wait for a program which is no child of the loop, and answers at once."""


class NeverRests(RuntimeError):
    """Some task runs again and again without waiting for anything that takes time."""


class _LeapingSelector(LoopSelector):
    """Waits in real time for threads and programs only."""

    def __init__(self, loop: "LeapingTimeLoop") -> None:
        super().__init__()
        self._loop = loop
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._rounds += 1
        if self._rounds > _ROUNDS_MAX:
            self._rounds = 0
            raise NeverRests(f"{_ROUNDS_MAX} rounds of the event loop at {self._loop.now:.3f} s")
        return super().select(timeout)

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        began = self._real_time()
        while True:
            if self._loop.stands_still:
                return self.real.select()
            is_busy = self._loop.is_busy_elsewhere
            os.sched_yield()  # the system's own thread may not have carried yet what was sent on this machine
            if ready := self.real.select(_LOOK_SECONDS if is_busy or timeout is None else 0):
                return ready
            if timeout is not None and (not is_busy or self._real_time() - began > _STUCK_SECONDS):
                self._rounds = 0
                self._loop.now += timeout
                return []

    def _real_time(self) -> float:
        return asyncio.SelectorEventLoop.time(self._loop)


class LeapingTimeLoop(asyncio.SelectorEventLoop):
    """``loop.time()`` moves only when every task waits for it, no socket has anything, and no thread works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stands_still = False
        """While another thread says so, no time passes, and the loop does what is asked of it over sockets."""
        self._jobs = 0
        self._programs: set[Any] = set()
        self._others_threads = set(sys._current_frames())
        """Those that were there before, such as one of a test runner, and do nothing for this loop."""
        super().__init__(_LeapingSelector(self))
        aiosqlite.SimpleQueue = _DriverQueue  # type: ignore[misc]

    def close(self) -> None:
        aiosqlite.SimpleQueue = SimpleQueue  # type: ignore[misc]
        super().close()

    def time(self) -> float:
        return self.now

    @property
    def is_busy_elsewhere(self) -> bool:
        """Whether a thread or a program works for a task of this loop."""
        self._programs = {each for each in self._programs if each.get_returncode() is None}
        return bool(self._jobs or self._programs) or self._is_a_thread_at_work()

    def create_task(self, *arguments: Any, name: str | None = None, **options: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = super().create_task(*arguments, name=name, **options)
        if name in _OF_THE_DATABASE:
            self.note_job(task)
        return task

    def note_job(self, job: "asyncio.Future[Any]") -> None:
        """Let no time pass until a thread has done this."""
        self._jobs += 1
        job.add_done_callback(self._job_is_done)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        running = super().run_in_executor(executor, func, *args)
        self.note_job(running)
        return running

    def _job_is_done(self, _job: "asyncio.Future[Any]") -> None:
        self._jobs -= 1

    def _is_a_thread_at_work(self) -> bool:
        """Whether a thread that was started since does anything but wait for a notification or a job."""
        frames = sys._current_frames()
        self._others_threads &= frames.keys()  # a thread may get the number of one that has ended
        return any(not _is_idle(frame) for thread, frame in frames.items() if thread not in self._others_threads)

    async def _make_subprocess_transport(self, *args: Any, **options: Any) -> Any:
        program = await super()._make_subprocess_transport(*args, **options)
        self._programs.add(program)
        return program


class _DriverQueue(SimpleQueue[Any]):
    """The queue of a thread of aiosqlite, which tells the loop of its jobs: pairs of a future and a function."""

    def put_nowait(self, item: Any) -> None:
        job = item[0]
        if job is not None and isinstance(loop := job.get_loop(), LeapingTimeLoop):
            loop.note_job(job)
        super().put_nowait(item)


def _is_idle(frame: FrameType) -> bool:
    code = frame.f_code
    if code is _WAITS:
        # ``notify`` takes the waiter out at once; the thread itself may come to run much later. In the first lines of
        # the function there is no waiter yet.
        waiter = frame.f_locals.get("waiter")
        return waiter is not None and waiter in frame.f_locals["self"]._waiters
    queue = _WORKERS.get(code)
    return queue is not None and frame.f_locals[queue].empty()
