"""Compresses the recordings of calls that have ended, one at a time, each in a program of its own.

A call's end never waits for it. A job that fails is tried again after growing waits, by any worker.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

import media
from app.clock import lease_now, utc_now
from app.observability.compression_metrics import CompressionMetrics
from app.storage.compressions import CompressionJob, CompressionStore
from media.compression import Compression

log = structlog.get_logger(__name__)

WAIT_SECONDS = (60.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0, 24 * 3600.0)
"""The wait after each failed attempt. After the next one the recording stays as it is."""
_LOOK_SECONDS = 5.0
_LEASE_SECONDS = 60.0
_RENEW_SECONDS = 20.0
_ROOT = Path(media.__file__).parent.parent
"""Where the program finds the package."""
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH")
"""What the program may see of our environment, which holds keys."""


class AttemptFailed(Exception):
    """The program did not come to an outcome; another attempt may."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Compressor:
    """Compresses the recordings below ``folder``, which has one folder for each call."""

    def __init__(
        self,
        store: CompressionStore,
        folder: Path,
        metrics: CompressionMetrics,
        *,
        clock: Callable[[], datetime] = utc_now,
        compress: Callable[[Path], Awaitable[Compression]] | None = None,
    ) -> None:
        """``compress`` compresses one recording, or raises AttemptFailed; without it :func:`run_program` does."""
        self._store = store
        self._folder = folder
        self._metrics = metrics
        self._clock = clock
        self._compress = compress or run_program

    async def look(self) -> None:
        """One round: compress what is due, or wait."""
        if not await self.compress_due():
            await asyncio.sleep(_LOOK_SECONDS)

    async def compress_due(self) -> bool:
        """Compress one recording that is due now; False if none is. Raises StorageError."""
        now = lease_now()
        job = await self._store.claim(self._clock(), lease_now=now, until=now + _LEASE_SECONDS)
        self._metrics.note_waiting(await self._store.waiting())
        if job is None:
            return False
        work = asyncio.get_running_loop().create_task(self._attempt(job), name=f"{job.call_id}:compression")
        try:
            while not work.done():
                await asyncio.wait([work], timeout=_RENEW_SECONDS)
                if not work.done():
                    renewed = await self._store.renew(job, lease_now() + _LEASE_SECONDS)
                    if renewed is None:
                        return True
                    job = renewed
            await self._note(job, work.result())
        finally:
            work.cancel()
            await asyncio.wait([work])
        return True

    async def _attempt(self, job: CompressionJob) -> Compression | AttemptFailed:
        if job.attempts > len(WAIT_SECONDS) + 1:
            return AttemptFailed("interrupted: no worker came to the end of it")
        try:
            return await self._compress(self._folder.absolute() / job.call_id)
        except AttemptFailed as error:
            return error

    async def _note(self, job: CompressionJob, came: Compression | AttemptFailed) -> None:
        is_over = isinstance(came, Compression) and came.outcome != "busy"
        if not is_over and job.attempts <= len(WAIT_SECONDS):
            wait = WAIT_SECONDS[job.attempts - 1]
            await self._store.again(job, self._clock() + timedelta(seconds=wait))
            log.warning("recording.compression_delayed", call_id=job.call_id, error=_reason(came), retry_seconds=wait)
            return
        await self._store.finish(job)
        if isinstance(came, Compression) and came.outcome in ("done", "nothing"):
            if came.bytes_before:
                self._metrics.ended("done")
            return
        self._metrics.ended("kept" if is_over else "failed")
        log.error("recording.not_compressed", call_id=job.call_id, error=_reason(came))


async def run_program(folder: Path) -> Compression:
    """Compress the recording in a program, at the lowest priority, which a cancellation ends. Raises AttemptFailed."""
    try:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "media.compress_program", str(folder)),
            stdin=PIPE,  # it ends when we do
            stdout=PIPE,
            stderr=DEVNULL,
            cwd=_ROOT,
            env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
        )
    except OSError as error:
        raise AttemptFailed(f"it cannot be run ({error.strerror})") from error
    try:
        return await _outcome(program)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


async def _outcome(program: Process) -> Compression:
    """Raises AttemptFailed."""
    if program.stdout is None:
        raise AssertionError("it is a pipe")
    said = await program.stdout.read()
    status = await program.wait()
    try:
        found = json.loads(said)
        if status:
            raise AttemptFailed(str(found["error"]))
        return Compression(**found)
    except (ValueError, TypeError, KeyError) as error:
        raise AttemptFailed(f"it ended with status {status}") from error


def _reason(came: Compression | AttemptFailed) -> str:
    return came.reason or came.outcome if isinstance(came, Compression) else came.reason
