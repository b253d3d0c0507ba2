"""Lists of callbacks. One that raises affects neither the other callbacks nor the caller."""

from collections.abc import Callable
from typing import Generic, ParamSpec

import structlog

from app.observability.tracebacks import describe, trace

log = structlog.get_logger(__name__)

P = ParamSpec("P")


class Listeners(Generic[P]):
    """Calls every listener in the order they were added. Logs the first of consecutive failures of a listener."""

    def __init__(self, event: str, *listeners: Callable[P, None] | None) -> None:
        """``event`` names in the log what the listeners listen to."""
        self._event = event
        self._listeners = [listener for listener in listeners if listener is not None]
        self._failing: set[Callable[P, None]] = set()

    def __repr__(self) -> str:
        return f"<Listeners of {self._event}: {len(self._listeners)}>"

    def add(self, listener: Callable[P, None]) -> None:
        """Add a listener; it is called on the event loop and must not block."""
        self._listeners.append(listener)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every listener; does not raise what a listener raises."""
        for listener in list(self._listeners):
            try:
                listener(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - a listener's bug is its own
                if listener not in self._failing:
                    self._failing.add(listener)
                    log.error("listener.failed", listens_to=self._event, error=describe(error), trace=trace(error))
            else:
                self._failing.discard(listener)
