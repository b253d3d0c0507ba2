"""The long-lived tasks of the service, and the tasks of its calls: what one of them raises harms none of the others.

A loop is one coroutine function, its round, that is run again and again. A round that raises is run again after a
backoff. Of each outage the log has two lines, ``loop.failed`` with the places the exception came through and
``loop.recovered``; the metrics count every failure; the health of the loop's part is degraded meanwhile.

Calls cannot do without a loop that is ``vital``. Their part is ``failed`` while such a loop is in trouble. One that
raises what nobody expects for ``give_up_seconds`` without a round between is gone for good: :attr:`ServiceLoops.gone`
is set, and the process ends, to be replaced.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

import structlog

from app.backoff import Backoff
from app.errors import ProviderError, VoiceAgentError
from app.models import ServiceHealth
from app.observability.listeners import Listeners
from app.observability.tracebacks import describe, trace

log = structlog.get_logger(__name__)

LoopName = Literal[
    "claims", "eraser", "health", "journal.poller", "journal.writer", "leases", "loop.lag", "reaper", "requests",
    "rooms.reconciler", "storage.writer", "unplaced", "warm:cartesia", "warm:openai",
]  # fmt: skip
"""Every loop there is, and so the values of the label in the metrics."""
TaskKind = Literal["call", "clips", "room"]
"""What a task that ends by itself is for; a label of the metrics, as its name holds the id of a call."""
Part = Literal["service", "storage", "livekit", "openai", "cartesia"]
"""The component of ``/health`` that shows the trouble of a loop."""

_BACKOFF = Backoff(first_seconds=0.5, max_seconds=10.0)
_VITAL_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0)
_STEADY_SECONDS = 10.0
"""Longer than any request may take, so that a round which waits for one is not taken for a success."""
_GIVE_UP_SECONDS = 5.0
_LEAVING_SECONDS = 30.0
"""How long tasks of calls may take to end once they have been told to."""

Round = Callable[[], Awaitable[object]]


class LoopFinished(Exception):
    """Raised by a round to end its loop."""


class ServiceLoop:
    """One loop, running from the moment it is made until it is stopped. To be made in a running event loop.

    It is well again when a round is through, or when a round has gone on for ``steady_seconds``.
    """

    def __init__(
        self,
        name: LoopName,
        work: Round,
        *,
        part: Part = "service",
        is_vital: bool = False,
        backoff: Backoff | None = None,
        steady_seconds: float = _STEADY_SECONDS,
        give_up_seconds: float = _GIVE_UP_SECONDS,
    ) -> None:
        self.name = name
        self.part = part
        self.is_vital = is_vital
        self.failures = 0
        """In a row."""
        self.detail: str | None = None
        """What the last failure was, while the loop fails."""
        self.is_gone = False
        """Whether it has been given up."""
        self.on_failed = Listeners[[str]]("loop.failed")
        self.on_gone = Listeners[[]]("loop.gone")
        self._work = work
        self._backoff = backoff or (_VITAL_BACKOFF if is_vital else _BACKOFF)
        self._steady_seconds = steady_seconds
        self._give_up_seconds = give_up_seconds
        self._failing_since = 0.0
        self._stopped = False
        self._task = self._start()

    def __repr__(self) -> str:
        state = "gone" if self.is_gone else f"{self.failures} failures in a row" if self.failures else "well"
        return f"<ServiceLoop {self.name}: {state}>"

    @property
    def is_failing(self) -> bool:
        """Whether the last round raised."""
        return self.failures > 0 or self.is_gone

    def cancel(self) -> None:
        """End it, soon; :meth:`wait` returns when it has ended."""
        self._stopped = True
        self._task.cancel()

    async def wait(self) -> None:
        """Return once it has ended."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Cancel it, and wait."""
        self.cancel()
        await self.wait()

    def _start(self) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._run(), name=self.name)
        task.add_done_callback(self._ended)
        return task

    async def _run(self) -> None:
        if self.failures:
            await asyncio.sleep(self._backoff.delay(self.failures))
        while not self.is_gone:
            try:
                await self._one_round()
            except LoopFinished:
                self._stopped = True
                return
            except (KeyboardInterrupt, SystemExit, GeneratorExit):
                raise
            except BaseException as error:
                if _is_cancelled(error):
                    raise
                self._note_failure(error)
                await asyncio.sleep(self._backoff.delay(self.failures))
            else:
                self._note_success()
                await asyncio.sleep(0)  # a round that waits for nothing must not keep the others from running

    async def _one_round(self) -> None:
        if not self.failures:
            await self._work()
            return
        steady = asyncio.get_running_loop().call_later(self._steady_seconds, self._note_success)
        try:
            await self._work()
        finally:
            steady.cancel()

    def _note_failure(self, error: BaseException) -> None:
        now = asyncio.get_running_loop().time()
        self.failures += 1
        self.detail = describe(error)
        if self.failures == 1:
            self._failing_since = now
            if isinstance(error, ProviderError):
                log.warning("loop.failed", loop=self.name, error=self.detail)
            else:
                extra = {} if isinstance(error, VoiceAgentError) else {"trace": trace(error)}
                log.error("loop.failed", loop=self.name, error=self.detail, **extra)
        self.on_failed(self.name)
        is_expected = isinstance(error, VoiceAgentError)
        if self.is_vital and not is_expected and now - self._failing_since >= self._give_up_seconds:
            self._give_up()

    def _note_success(self) -> None:
        if self.failures:
            log.info("loop.recovered", loop=self.name, failures=self.failures)
        self.failures, self.detail = 0, None

    def _give_up(self) -> None:
        self.is_gone = True
        log.error("loop.gone", loop=self.name, failures=self.failures, error=self.detail)
        self.on_gone()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A loop that somebody else has cancelled begins anew."""
        if not self._stopped and not self.is_gone and task.cancelled():
            self._note_failure(asyncio.CancelledError())
            self._task = self._start()


class ServiceLoops:
    """Every loop of the service, and the tasks of its calls. A context: at its end the loops are stopped.

    Tasks are waited for, for at most 30 s, when the context ends well, and cancelled when it ends with an exception.
    """

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        """Set when a loop that calls cannot do without has been given up."""
        self.on_failed = Listeners[[str]]("loops.failed")
        """Told of each failure the name of the loop, or the kind of the task."""
        self.failures: Counter[str] = Counter()
        """Since the start, by the name of the loop or the kind of the task."""
        self._loops: list[ServiceLoop] = []
        self._kept: list[ServiceLoop] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_failed.add(self._count)

    def __repr__(self) -> str:
        return f"<ServiceLoops {len(self._loops)} loops, {len(self._tasks)} tasks>"

    def __iter__(self) -> Iterator[ServiceLoop]:
        return iter(self._loops)

    async def __aenter__(self) -> "ServiceLoops":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for loop in self._kept:
            loop.cancel()
        try:
            if error is None and self._tasks:
                await asyncio.wait(self._tasks, timeout=_LEAVING_SECONDS)
                if self._tasks:
                    log.error("service.tasks_left", tasks=len(self._tasks))
        finally:
            for task in self._tasks:
                task.cancel()
            if left := [*self._tasks, *(loop._task for loop in self._kept)]:
                await asyncio.wait(left)

    def keep(self, name: LoopName, work: Round, **options: Any) -> ServiceLoop:
        """Run a loop until it is cancelled or the context ends; ``options`` are those of :class:`ServiceLoop`."""
        loop = ServiceLoop(name, work, **options)
        self._kept.append(loop)
        self.watch(loop)
        return loop

    def watch(self, loop: ServiceLoop) -> None:
        """Show and count a loop that is stopped by whoever made it."""
        self._loops.append(loop)
        loop.on_failed.add(self.on_failed)
        loop.on_gone.add(self.gone.set)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str, kind: TaskKind) -> asyncio.Task[None]:
        """Run something that ends by itself. What it raises is logged and counted, and harms nobody else."""
        task = asyncio.get_running_loop().create_task(self._contain(work, kind), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: work.close())  # one that was cancelled before it began
        return task

    def shown_in(self, part: Part, health: ServiceHealth) -> ServiceHealth:
        """The health of the part, no better than its loops are."""
        failing = [loop for loop in self._loops if loop.part == part and loop.is_failing]
        if not failing:
            return health
        worst: Literal["degraded", "failed"] = "degraded"
        if health.status == "failed" or any(loop.is_vital for loop in failing):
            worst = "failed"
        details = [*filter(None, [health.detail]), *(f"{loop.name}: {loop.detail}" for loop in failing)]
        return replace(health, status=worst, detail="; ".join(details))

    async def _contain(self, work: Coroutine[Any, Any, None], kind: TaskKind) -> None:
        try:
            await work
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if _is_cancelled(error):
                raise
            log.error("task.failed", kind=kind, error=describe(error), trace=trace(error))
            self.on_failed(kind)

    def _count(self, name: str) -> None:
        self.failures[name] += 1


def _is_cancelled(error: BaseException) -> bool:
    """Whether this task itself is to end; what a round awaited may have been cancelled by somebody else."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
