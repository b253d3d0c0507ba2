"""Work that outlives its call: the line closes at once, and the rest is finished in the background."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

import structlog

from app.errors import VoiceAgentError
from app.observability.tracebacks import describe, trace

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 10.0
"""How long a stopping service waits: a little longer than the slowest tool may take."""
_PIECES_MAX = 1000


class BackgroundWork:
    """Tasks that no call waits for: tools, transfers, ending rooms, hanging up telephones.

    Each piece of work has its own deadline. At most 1000 run. Above that the oldest is cancelled; if it was to end a
    room, the reconciler does it. An async context manager: its exit calls :meth:`close`.
    """

    def __init__(self, *, patience_seconds: float = _PATIENCE_SECONDS, pieces_max: int = _PIECES_MAX) -> None:
        self._patience_seconds = patience_seconds
        self._pieces_max = pieces_max
        self._tasks: dict[asyncio.Task[None], None] = {}
        """In the order in which they were started."""
        self._cancelled: set[asyncio.Task[None]] = set()
        """Tasks cancelled above the limit, until they have ended."""

    def __repr__(self) -> str:
        return f"<BackgroundWork {len(self._tasks)} pieces>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.close()

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, on_bug: Callable[[Exception], None] | None = None
    ) -> asyncio.Task[None]:
        """Start a piece of work. Never waits. ``on_bug`` gets the exception that it raises."""
        if len(self._tasks) >= self._pieces_max:
            log.error("background.full", pieces=len(self._tasks))
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            self._cancelled.add(oldest)
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._note_end(done, on_bug))
        return task

    async def close(self) -> None:
        """Wait for the running tasks for a bounded time, then cancel the rest and wait for them."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=self._patience_seconds)
        if left := [*self._tasks, *self._cancelled]:
            log.warning("background.abandoned", pieces=len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=self._patience_seconds)

    def _note_end(self, task: asyncio.Task[None], on_bug: Callable[[Exception], None] | None) -> None:
        self._tasks.pop(task, None)
        self._cancelled.discard(task)
        error = None if task.cancelled() else task.exception()
        if not isinstance(error, Exception):
            return
        if not isinstance(error, VoiceAgentError):
            work = task.get_name().rpartition(":")[2]
            log.error("background.failed", work=work, error=describe(error), trace=trace(error))
        if on_bug is not None:
            on_bug(error)
