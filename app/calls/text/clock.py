"""The clock of a call in text, which need not wait: it leaps over speech and silence, and stands still at a keyboard.

Only what really takes time passes in real time: the model, and tools.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.calls.live.call_clock import CallClock


class TextClock(CallClock):
    """Seconds of the call as it would be by telephone."""

    def leap_to(self, call_seconds: float) -> None:
        """It is that time of the call now, unless it is later already."""
        self._created -= max(0.0, call_seconds - self.call_seconds())

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time does not pass inside: somebody is thinking of what to type."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            self._created += loop.time() - began
