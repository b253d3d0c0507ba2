"""Writes the log in a thread, so that calls continue when nobody reads the pipe or the disk is full."""

import atexit
import logging
import os
from collections import deque
from io import UnsupportedOperation
from threading import Condition, Thread, current_thread
from time import monotonic as _now  # noqa: TID251 - the thread has no event loop
from typing import TextIO

import structlog

log = structlog.get_logger(__name__)

_LINES_WAITING = 10_000
_RETRY_SECONDS = 0.5
_FLUSH_SECONDS = 2.0


class LogWriter(logging.Handler):
    """Formats lines where they are logged, and writes them in its own thread.

    At most ``lines_waiting`` wait while the pipe is not read or the disk is full. Further lines are dropped and
    counted; once lines are written again, one of them says how many are missing.
    """

    def __init__(self, stream: TextIO, *, lines_waiting: int = _LINES_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._lines_waiting = lines_waiting
        self._changed = Condition()
        self._lines: deque[str] = deque()
        self._is_writing = False
        self._thread: Thread | None = None
        self.dropped = 0
        """Lines dropped since the last line that reported a number."""
        atexit.register(self.flush)  # logging's own hook would wait holding the lock, and the thread may have to log

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; never waits and never raises."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a line that cannot be formatted must not end what logs it
            line = f'{{"event": "log.unreadable", "level": "error", "error": "{type(error).__name__}"}}'
        with self._changed:
            if len(self._lines) >= self._lines_waiting and current_thread() is not self._thread:
                self.dropped += 1
                return
            self._lines.append(line)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is written; at most two seconds, because there may be no reader."""
        ends_at = _now() + _FLUSH_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._is_writing, ends_at - _now())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                self._is_writing = True
                text = "".join(f"{line}\n" for line in self._lines)
                self._lines.clear()
                dropped, self.dropped = self.dropped, 0
            self._write(text)
            if dropped:
                log.warning("log.dropped", lines=dropped)

    def _write(self, text: str) -> None:
        try:
            file = self._stream.fileno()
        except (UnsupportedOperation, AttributeError, ValueError):
            self._stream.write(text)
            return
        rest = text.encode(errors="backslashreplace")
        while rest:
            try:
                rest = rest[os.write(file, rest) :]
            except BrokenPipeError:
                return
            except OSError:  # disk full: the line that has begun is completed when there is room
                with self._changed:
                    self._changed.wait(_RETRY_SECONDS)
