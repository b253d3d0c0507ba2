"""The recordings of this process's calls, and the health of their disk.

A recording has a minute after its call to reach the disk. A call waits for it for 0.2 s at most. The process waits for
it only in :meth:`Recordings.close`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from app.backoff import Backoff
from app.errors import StorageError
from app.models import ServiceHealth
from app.observability.outages import Outage
from media.formats import AudioFormat
from media.recording import Recorder

log = structlog.get_logger(__name__)

_DISK_RETRY = Backoff(first_seconds=0.1, max_seconds=2.0)
_FINISH_SECONDS = 0.2
"""A healthy disk needs less. Then the recording is complete when the line closes."""


class Recordings:
    """Makes a recorder for each call, and keeps track of those that are not finished."""

    def __init__(self, folder: Path, owner: str, *, on_incomplete: Callable[[], None]) -> None:
        """``folder`` has one folder for each call. ``on_incomplete`` is called for each with gaps, in a thread."""
        self._folder = folder
        self._owner = owner
        self._on_incomplete = on_incomplete
        self._unfinished: dict[Recorder, asyncio.Event] = {}
        self._outage = Outage("recordings.failing", "recordings.in_order")

    def start(self, call_id: str, audio_format: AudioFormat) -> Recorder:
        """Record a call from now until :meth:`finish`."""
        loop, is_finished = asyncio.get_running_loop(), asyncio.Event()

        def finished(recorder: Recorder) -> None:
            self._unfinished.pop(recorder, None)
            with suppress(RuntimeError):  # the event loop is closed, and nobody waits
                loop.call_soon_threadsafe(is_finished.set)
            if recorder.failed is not None:
                self._on_incomplete()
                missing = round(sum(end - start for start, end in recorder.gaps), 1)
                log.error("recording.incomplete", call_id=call_id, reason=recorder.failed, missing_seconds=missing)

        recorder = Recorder(
            self._folder / call_id, self._owner, audio_format, retry_delay=_DISK_RETRY.delay, on_finished=finished
        )
        self._unfinished[recorder] = is_finished
        return recorder

    async def finish(self, recorder: Recorder, ended: float) -> None:
        """Write the rest. The call ended ``ended`` seconds after its answer. Does not wait for a slow disk."""
        is_finished = self._unfinished.get(recorder)
        recorder.close(ended)
        if is_finished is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FINISH_SECONDS):
                    await is_finished.wait()

    async def health_check(self) -> ServiceHealth:
        """``degraded`` while the disk is slow, full or gone. Calls go on, but their recordings may have gaps."""
        troubles = [trouble for recorder in list(self._unfinished) if (trouble := recorder.trouble) is not None]
        if not troubles:
            self._outage.over()
            return ServiceHealth("recordings", "ok")
        detail = f"{troubles[0]}; {len(troubles)} recordings wait for it"
        self._outage.failed(StorageError(detail))
        return ServiceHealth("recordings", "degraded", detail=detail)

    def close(self, seconds: float) -> None:
        """Finish the recordings of ended calls within so many seconds. Blocks."""
        unfinished = list(self._unfinished)
        for recorder in unfinished:
            recorder.close()
            recorder.give_up(seconds)
        for recorder in unfinished:
            recorder.join(seconds + 1.0)
