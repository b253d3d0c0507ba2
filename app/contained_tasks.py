"""Tasks that end by themselves: calls and what carries them, and what is finished after a call has ended.

An exception in one of them harms no other. It is logged, counted, and reported to the code that started the task. The
service has two sets: the tasks of calls (:class:`app.service_loops.ServiceLoops`), and the work that goes on when its
call is over, such as tools, the commit of the last row, and rooms that must be ended.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self

import structlog

from app.errors import VoiceAgentError
from app.observability.listeners import Listeners
from app.observability.tracebacks import describe, trace

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 10.0
"""A little longer than the slowest tool may take."""

TaskKind = Literal["apology", "call", "close", "commit", "leftover", "phrases", "room", "simulated", "tool", "transfer"]
"""What a task is for. Metrics use it as a label, because the task's name contains a call id."""


class ContainedTasks:
    """A set of such tasks. An async context manager: its exit calls :meth:`close`, and after an exception cancels all.

    Above ``tasks_max`` tasks, the oldest is cancelled.
    """

    def __init__(self, *, patience_seconds: float = _PATIENCE_SECONDS, tasks_max: int | None = None) -> None:
        """``patience_seconds`` is how long :meth:`close` waits before it cancels the rest, and then for their end."""
        self.on_failed = Listeners[[str]]("tasks.failed")
        """Called for each failure with the kind of the task."""
        self._patience_seconds = patience_seconds
        self._tasks_max = tasks_max
        self._tasks: dict[asyncio.Task[None], None] = {}
        """In the order in which they were started."""
        self._cancelled: set[asyncio.Task[None]] = set()
        """Tasks cancelled above the limit, until they have ended."""

    def __repr__(self) -> str:
        return f"<ContainedTasks {len(self._tasks)} tasks>"

    def __len__(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close(is_patient=error is None)

    def start(
        self,
        work: Coroutine[Any, Any, None],
        *,
        name: str,
        kind: TaskKind,
        on_error: Callable[[Exception], None] | None = None,
    ) -> asyncio.Task[None]:
        """Start a task; never waits. ``on_error`` gets the exception that it raises.

        An error of :mod:`app.errors` that ``on_error`` gets is an outcome, and neither logged nor counted.
        """
        if self._tasks_max is not None and len(self._tasks) >= self._tasks_max:
            log.error("tasks.full", tasks=len(self._tasks))
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            self._cancelled.add(oldest)
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._contain(work, kind, on_error), name=name)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _task: work.close())  # for a task that is cancelled before it starts
        return task

    async def close(self, *, is_patient: bool = True) -> None:
        """Wait for the tasks for a bounded time, then cancel the rest and wait for them."""
        if self._tasks and is_patient:
            await asyncio.wait(list(self._tasks), timeout=self._patience_seconds)
        if left := [*self._tasks, *self._cancelled]:
            if is_patient:
                log.error("tasks.abandoned", tasks=len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=self._patience_seconds)

    async def _contain(
        self, work: Coroutine[Any, Any, None], kind: TaskKind, on_error: Callable[[Exception], None] | None
    ) -> None:
        try:
            await work
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            if was_cancelled(error):
                raise
            is_expected = isinstance(error, VoiceAgentError)
            if not is_expected or on_error is None:
                extra = {} if is_expected else {"trace": trace(error)}
                log.error("task.failed", kind=kind, error=describe(error), **extra)
                self.on_failed(kind)
            if on_error is not None and isinstance(error, Exception):
                on_error(error)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._cancelled.discard(task)


def was_cancelled(error: BaseException) -> bool:
    """Whether the current task itself was cancelled, rather than something that it awaited."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
