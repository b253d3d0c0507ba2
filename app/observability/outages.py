"""Logs an outage of something that is retried: one line when it begins, one when it is over."""

from typing import Literal

import structlog

from app.errors import VoiceAgentError

log = structlog.get_logger(__name__)


class Outage:
    """Logs the first of consecutive failures, and the success that ends them."""

    def __init__(self, begins: str, ends: str, *, level: Literal["warning", "error"] = "error") -> None:
        """``begins`` and ``ends`` are log events; ``level`` is that of ``begins``."""
        self._begins = begins
        self._ends = ends
        self._level = level
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Outage {self._begins}, {self._failures} failures>"

    def failed(self, error: Exception) -> None:
        """Note a failure. Of an exception that is not ours only the type is logged: its message may quote anyone."""
        self._failures += 1
        if self._failures == 1:
            told = str(error) if isinstance(error, VoiceAgentError) else type(error).__name__
            getattr(log, self._level)(self._begins, error=told)

    def over(self) -> None:
        """Note a success."""
        if self._failures:
            log.info(self._ends, failures=self._failures)
        self._failures = 0
