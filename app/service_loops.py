"""Runs the long-lived tasks of the service and the tasks of its calls. An exception in one harms none of the others.

A loop runs one coroutine function, its round, again and again. After a round that raises, it waits a backoff and runs
the next one::

    round ok ─► round ok ─► round raises ─► backoff ─► round ok ─► ...
                            loop.failed                loop.recovered

Each outage has these two lines in the log, the first with the traceback. The metrics count every failure. Meanwhile the
health of the loop's part is ``degraded``.

Calls need the loops that are ``vital``. While a vital loop fails, the health of its part is ``failed``. When it raises
unexpected exceptions for ``give_up_seconds`` without one successful round, it gives up: :attr:`ServiceLoops.gone` is
set, and the process ends, so that it can be replaced.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal

import structlog

from app.backoff import Backoff
from app.contained_tasks import ContainedTasks, TaskKind, was_cancelled
from app.errors import ProviderError, VoiceAgentError
from app.models import ServiceHealth
from app.observability.listeners import Listeners
from app.observability.tracebacks import describe, trace

log = structlog.get_logger(__name__)

LoopName = Literal[
    "agents", "analysis", "claims", "clients", "compression", "eraser", "health", "journal.poller", "journal.writer",
    "leases", "loop.lag", "mcp", "orders", "probe", "reaper", "requests", "retention", "rooms.reconciler", "spending",
    "storage.listener", "storage.writer", "synthetic", "traces", "unplaced", "warm:llm", "warm:tts", "webhooks",
]  # fmt: skip
"""The names of all loops. Metrics use them as label values."""
Part = Literal["service", "storage", "livekit", "stt", "llm", "tts"]
"""The component of ``/health`` that shows a loop's failures."""

_BACKOFF = Backoff(first_seconds=0.5, max_seconds=10.0)
_VITAL_BACKOFF = Backoff(first_seconds=0.1, max_seconds=1.0)
_STEADY_SECONDS = 10.0
"""Longer than any request may take: a round that still waits for one is not a success yet."""
_GIVE_UP_SECONDS = 5.0
_LEAVING_SECONDS = 30.0
"""How long the tasks of calls may take to end at shutdown, before they are cancelled."""

Round = Callable[[], Awaitable[object]]


class LoopFinished(Exception):
    """Raised by a round to end its loop."""


class ServiceLoop:
    """One loop. It runs from its construction, in a running event loop, until it is stopped.

    A failing loop has recovered when a round returns, or has run for ``steady_seconds``.
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
        """How many rounds in a row have failed."""
        self.detail: str | None = None
        """The last failure, while the loop fails."""
        self.is_gone = False
        """Whether the loop has given up."""
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
        """Request the end of the loop. :meth:`wait` returns when it has ended."""
        self._stopped = True
        self._task.cancel()

    async def wait(self) -> None:
        """Return when the loop has ended."""
        await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Cancel the loop and wait for its end."""
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
                if was_cancelled(error):
                    raise
                self._note_failure(error)
                await asyncio.sleep(self._backoff.delay(self.failures))
            else:
                self._note_success()
                await asyncio.sleep(0)  # a round that never waits must not starve the other tasks

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
        """Restart a loop that someone else has cancelled."""
        if not self._stopped and not self.is_gone and task.cancelled():
            self._note_failure(asyncio.CancelledError())
            self._task = self._start()


class ServiceLoops:
    """All loops of the service and the tasks of its calls. An async context manager: its exit stops the loops.

    A normal exit waits for the tasks, for 30 s at most. An exit with an exception cancels them.
    """

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        """Set when a vital loop has given up."""
        self.on_failed = Listeners[[str]]("loops.failed")
        """Called for each failure with the name of the loop or the kind of the task."""
        self.failures: Counter[str] = Counter()
        """Failures since the start, by name of the loop or kind of the task."""
        self._loops: list[ServiceLoop] = []
        self._kept: list[ServiceLoop] = []
        self._tasks = ContainedTasks(patience_seconds=_LEAVING_SECONDS)
        self._tasks.on_failed.add(self.on_failed)
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
            await self._tasks.close(is_patient=error is None)
        finally:
            for loop in self._kept:
                await loop.wait()

    def keep(self, name: LoopName, work: Round, **options: Any) -> ServiceLoop:
        """Run a loop until it is cancelled or the context ends. ``options`` are those of :class:`ServiceLoop`."""
        loop = ServiceLoop(name, work, **options)
        self._kept.append(loop)
        self.watch(loop)
        return loop

    def drop(self, loop: ServiceLoop) -> None:
        """Forget a loop that :meth:`keep` has started, and that ends by itself."""
        self._kept.remove(loop)
        self._loops.remove(loop)

    def watch(self, loop: ServiceLoop) -> None:
        """Count the failures of a loop and show them in the health. Its owner stops it."""
        self._loops.append(loop)
        loop.on_failed.add(self.on_failed)
        loop.on_gone.add(self.gone.set)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str, kind: TaskKind) -> asyncio.Task[None]:
        """Run a task that carries a call, or prepares calls, and ends by itself. See :class:`ContainedTasks`."""
        return self._tasks.start(work, name=name, kind=kind)

    def shown_in(self, part: Part, health: ServiceHealth) -> ServiceHealth:
        """The health of the part, with the failures of its loops included."""
        failing = [loop for loop in self._loops if loop.part == part and loop.is_failing]
        if not failing:
            return health
        worst: Literal["degraded", "failed"] = "degraded"
        if health.status == "failed" or any(loop.is_vital for loop in failing):
            worst = "failed"
        details = [*filter(None, [health.detail]), *(f"{loop.name}: {loop.detail}" for loop in failing)]
        return replace(health, status=worst, detail="; ".join(details))

    def _count(self, name: str) -> None:
        self.failures[name] += 1
