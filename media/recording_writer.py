"""Writes a recording to disk in a thread of its own, so that a slow disk delays nothing but the recording.

Each recording has its own thread. During a slow write the call's further audio gathers and goes out with the next
write, so any number of calls keeps up with a disk that needs two seconds per write. A single thread for all calls would
fall further behind with each of them. A thread per recording is also a bulkhead.

The thread holds a shared lock (``flock``) on the file that it writes, which goes with its process. So whoever removes
segments sees that one is still being written.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from errno import EDQUOT, EFBIG, ENOSPC
from fcntl import LOCK_NB, LOCK_SH, flock
from itertools import count
from pathlib import Path
from threading import Condition, Thread
from time import monotonic as _now  # noqa: TID251 - the thread has no event loop
from typing import NamedTuple

from media.recording_notes import NOTES_SUFFIX, Notes, write_notes
from media.segments import SEGMENT_SUFFIX
from media.spans import Span, merged

_FULL = (ENOSPC, EDQUOT, EFBIG)
"""The disk is full: what was written is intact, and the same file continues when there is room again."""
_RETRY_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
"""How long after the end of the call the disk is tried for what is left."""
_SLOW_SECONDS = 1.0
"""A write that takes longer is reported as trouble."""
_GAPS_MAX = 100
"""How many gaps are kept; beyond that the two that are closest to each other are joined."""
_APART_SECONDS = 0.5
"""Gaps that are closer to each other are joined."""


class Sound(NamedTuple):
    """Encoded records and the time span of their audio."""

    records: bytes
    start: float
    """Seconds since the answer."""
    end: float


class _OpenFile(NamedTuple):
    number: int
    path: Path

    def is_there(self) -> bool:
        """Whether its name still exists: data written to a deleted file is lost. Raises OSError."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        mine = os.fstat(self.number)
        return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


class RecordingWriter:
    """Writes one owner's part of a recording. Only the thread, :meth:`join` and :meth:`wait_written` wait for the disk.

    At most ``bytes_waiting_max`` wait for the disk. When that is full, new audio is dropped and its time becomes a gap.
    When the disk fails, the thread tries again, until ``patience_seconds`` after :meth:`close`.
    """

    def __init__(
        self,
        directory: Path,
        owner: str,
        header: bytes,
        *,
        bytes_waiting_max: int,
        patience_seconds: float = _PATIENCE_SECONDS,
        retry_delay: Callable[[int], float] | None = None,
        on_finished: Callable[[], None] = lambda: None,
    ) -> None:
        """Each file begins with ``header``. ``on_finished`` runs once, in the thread, when nothing more is written.

        ``retry_delay`` gives the seconds to wait after the n-th failure in a row; without it they are 0.1.
        """
        self._directory = directory
        self._owner = owner
        self._header = header
        self._bytes_waiting_max = bytes_waiting_max
        self._patience = patience_seconds
        self._retry_delay = retry_delay or (lambda _failures: _RETRY_SECONDS)
        self._on_finished = on_finished
        self._changed = Condition()
        self._queue: deque[Sound] = deque()
        self._waiting_bytes = 0
        self._gaps: list[Span] = []
        self._noted_gaps: list[Span] = []
        self._began: float | None = None
        self._ended = 0.0
        self._give_up_at: float | None = None
        """On the monotonic clock; None until :meth:`close`."""
        self._thread: Thread | None = None
        self._notes_path: Path | None = None
        self._file: _OpenFile | None = None
        self._file_span: Span | None = None
        self._whole = self._rest = b""
        self._failing: str | None = None
        self._busy_since: float | None = None
        self._is_erased = False
        self.lost: str | None = None
        """Why audio is missing; None while none is."""

    @property
    def gaps(self) -> list[Span]:
        """The time spans whose audio is missing so far."""
        with self._changed:
            return list(self._gaps)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the disk now; None if nothing is."""
        since = self._busy_since
        if self._failing is None and since is not None and _now() - since > _SLOW_SECONDS:
            return "the disk is slow"
        return self._failing

    def put(self, sound: Sound) -> None:
        """Queue audio for the disk; when too much waits, drop it and keep a gap."""
        with self._changed:
            if self._give_up_at is not None:
                return
            self._began = sound.start if self._began is None else self._began
            if self._waiting_bytes + len(sound.records) > self._bytes_waiting_max:
                self._note_gap((sound.start, sound.end), self.trouble or "the disk is slow")
                return
            self._queue.append(sound)
            self._waiting_bytes += len(sound.records)
            self._changed.notify()
        self._start()

    def close(self, ended: float) -> None:
        """Say that nothing more comes; ``ended`` is in seconds since the answer. May be called twice."""
        with self._changed:
            if self._give_up_at is not None:
                return
            self._give_up_at = _now() + self._patience
            self._ended = ended
            self._changed.notify()
        if self._thread is None and ended > 0:
            self._start()
        elif self._thread is None:
            self._on_finished()

    def give_up(self, seconds: float) -> None:
        """Limit how much longer the disk is tried; call it after :meth:`close`."""
        with self._changed:
            if self._give_up_at is not None:
                self._give_up_at = min(self._give_up_at, _now() + seconds)
                self._changed.notify()

    def join(self, seconds: float | None = None) -> bool:
        """Wait until nothing more is written; False when ``seconds`` pass first."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def wait_written(self) -> None:
        """Wait until everything put so far has been written."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting_bytes)

    def _start(self) -> None:
        if self._thread is None:
            # A daemon, because a disk that never answers must not stop the process from ending.
            self._thread = Thread(target=copy_context().run, args=(self._run,), name="recording", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while sounds := self._next():
                self._keep(sounds)
            self._finish()
        finally:
            self._close_file()
            self._on_finished()

    def _next(self) -> list[Sound]:
        """Wait for audio and take all of it; empty once the writer is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._give_up_at is not None)
            sounds = list(self._queue)
            self._queue.clear()
            return sounds

    def _keep(self, sounds: Sequence[Sound]) -> None:
        span = min(sound.start for sound in sounds), max(sound.end for sound in sounds)
        self._whole = self._rest = b"".join(sound.records for sound in sounds)
        is_written = self._insist(self._write)
        if not is_written:
            self._close_file()  # the file may end in the middle of a record
        with self._changed:
            if is_written:
                before = self._file_span or span
                self._file_span = min(before[0], span[0]), max(before[1], span[1])
            else:
                self._note_gap(span, self._failing or "the disk is slow")
            self._waiting_bytes -= len(self._whole)
            self._changed.notify_all()
            has_news = is_written and self._gaps != self._noted_gaps
        if has_news:
            with suppress(OSError):  # the next gap or the end writes the notes again
                self._write_notes(None)

    def _insist(self, work: Callable[[], None]) -> bool:
        """Retry ``work`` until the disk does it; False when no time is left."""
        for failures in count(1):
            self._busy_since = _now()
            try:
                work()
            except OSError as error:
                self._failing = error.strerror or type(error).__name__
                if error.errno not in _FULL:
                    self._close_file()  # the next try begins a new file
            else:
                self._failing = None
                return True
            finally:
                self._busy_since = None
            if not self._may_try_again(self._retry_delay(failures)):
                break
        return False

    def _may_try_again(self, wait: float) -> bool:
        with self._changed:
            ends_at = _now() + wait
            while (left := min(ends_at, self._give_up_at or ends_at) - _now()) > 0:
                self._changed.wait(left)
            return self._give_up_at is None or _now() < self._give_up_at

    def _write(self) -> None:
        """Write the rest of the current batch."""
        if self._file is not None and not self._file.is_there():
            self._close_file()
            self._is_erased = self._give_up_at is not None  # only ended calls are erased
            if not self._is_erased:
                with self._changed:
                    self._note_gap(self._file_span or (0.0, 0.0), "the folder was removed")
        if self._is_erased:
            return
        if self._file is None:
            self._file = self._open_file()
            self._file_span = None
            self._rest = self._header + self._whole
        while self._rest:
            self._rest = self._rest[os.write(self._file.number, self._rest) :]

    def _open_file(self) -> _OpenFile:
        """Always open a new file: an old one of the same owner may end in the middle of a record."""
        path = self._new_path()
        if self._notes_path is None:
            self._notes_path = path.with_suffix(NOTES_SUFFIX)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        with suppress(OSError):  # a file system without locks
            flock(number, LOCK_SH | LOCK_NB)
        return _OpenFile(number, path)

    def _new_path(self) -> Path:
        """Choose a new path; the parent folder is not created, because when it is missing, its disk is missing."""
        self._directory.parent.mkdir(mode=0o700, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        names = (f"{self._owner}{f'.{number}' if number else ''}{SEGMENT_SUFFIX}" for number in count())
        paths = (self._directory / name for name in names)
        return next(path for path in paths if not path.exists() and not path.with_suffix(NOTES_SUFFIX).exists())

    def _finish(self) -> None:
        """Sync the file to the disk and complete the notes."""
        try:
            if self._file is not None:
                self._is_erased = not self._file.is_there()
                os.fsync(self._file.number)
        except OSError as error:  # a file system may report only now that it could not store the data
            with self._changed:
                self._note_gap(self._file_span or (0.0, self._ended), error.strerror or type(error).__name__)
        self._close_file()
        if not self._is_erased:
            self._insist(lambda: self._write_notes(self._ended))

    def _write_notes(self, ended: float | None) -> None:
        gaps = self.gaps
        if self._notes_path is None:
            self._notes_path = self._new_path().with_suffix(NOTES_SUFFIX)
        write_notes(self._notes_path, Notes(self._began or 0.0, ended, gaps))
        self._noted_gaps = gaps

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file.number)

    def _note_gap(self, span: Span, reason: str) -> None:
        """Note missing audio; the caller of this method has the lock."""
        self.lost = reason
        self._gaps = merged([*self._gaps, span], apart=_APART_SECONDS)
        while len(self._gaps) > _GAPS_MAX:
            distances = [after[0] - before[1] for before, after in zip(self._gaps, self._gaps[1:], strict=False)]
            self._gaps = merged(self._gaps, apart=min(distances))
