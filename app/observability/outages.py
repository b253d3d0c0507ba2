"""Failures of what is tried again and again: one log line when they begin, one when they are over."""

from typing import Literal

import structlog

from app.errors import VoiceAgentError

log = structlog.get_logger(__name__)


class Outage:
    """Tells the log of the first failure in a row, and of the success that ends it."""

    def __init__(self, begins: str, ends: str, *, level: Literal["warning", "error"] = "error") -> None:
        """``begins`` and ``ends`` are the log's events; ``level`` is that of the first."""
        self._begins = begins
        self._ends = ends
        self._level = level
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Outage {self._begins}, {self._failures} failures>"

    def failed(self, error: Exception) -> None:
        """It failed, perhaps again. Of an exception that is not ours only the type is told: it may hold anything."""
        self._failures += 1
        if self._failures == 1:
            told = str(error) if isinstance(error, VoiceAgentError) else type(error).__name__
            getattr(log, self._level)(self._begins, error=told)

    def over(self) -> None:
        """It worked."""
        if self._failures:
            log.info(self._ends, failures=self._failures)
        self._failures = 0
