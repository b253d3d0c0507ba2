"""Several processes that serve as one: started, replaced when they die, and stopped together.

The supervisor prepares what they share, which is the database, the listening socket, the folder of the metrics and, if
it is needed, the sandbox, and answers no request itself. Workers are new processes, never copies of this one.

Task ledger.

``worker-<n>``  keeps one worker running. Ends when the worker has ended after a signal.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import ExitStack, suppress
from tempfile import TemporaryDirectory

import structlog

from app.cli.orders import STOP, WorkerOrder, written
from app.cli.sandbox_process import vendors
from app.cli.settings_problems import SETTINGS_STATUS, warn_of_misspelt
from app.errors import StorageError
from app.observability.logs import configure_logging
from app.observability.metrics import FOLDER_VARIABLE, forget_process
from app.settings import Settings
from app.start_checks import check_settings
from app.storage.calls import CallStore
from app.storage.database import Database, migrate

log = structlog.get_logger(__name__)

_BACKLOG = 2048
_CLOSING_SECONDS = 40.0
"""What a worker needs for goodbyes and for its last rows, at most; afterwards it is killed."""
_HEALTHY_SECONDS = 30.0
"""A worker that lives so long has begun well."""
_DELAY_SECONDS_MAX = 30.0
_CANNOT_LISTEN_STATUS = 1
_NOT_STARTED_STATUS = 3


def supervise(settings: Settings) -> int:
    """Serve with ``settings.workers`` processes until a signal; gives the exit status. Raises SettingsError."""
    configure_logging(settings.log_level)
    warn_of_misspelt()
    check_settings(settings)
    with ExitStack() as stack:
        try:
            migrate(settings.database)
            listener = stack.enter_context(_listener(settings))
        except StorageError as error:
            log.error("service.not_started", reason=str(error))
            return _NOT_STARTED_STATUS
        except OSError as error:
            log.error("service.not_started", reason=f"cannot listen on {settings.host}:{settings.port}: {error}")
            return _CANNOT_LISTEN_STATUS
        settings = stack.enter_context(vendors(settings))
        folder = stack.enter_context(TemporaryDirectory(prefix="voice-agent-metrics-"))
        return asyncio.run(Supervisor(settings, listener, folder).run())


def restart_delay(failures: int) -> float:
    """Seconds before a worker is replaced that is the ``failures``-th in succession to die early."""
    doublings = min(failures, 10) - 2
    return 0.0 if doublings < 0 else min(0.5 * 2.0**doublings, _DELAY_SECONDS_MAX)


class Supervisor:
    """Keeps the workers running until it is told to stop: once, to let their calls end, or twice, to stop at once."""

    def __init__(self, settings: Settings, listener: socket.socket, metrics_folder: str) -> None:
        self._settings = settings
        self._listener = listener
        self._metrics_folder = metrics_folder
        self._family = secrets.token_hex(4)
        self._workers: dict[int, Process] = {}
        self._signals = 0
        self._told = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Return when every worker has ended after a signal; gives the exit status."""
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, self._stop)
        database = await Database.open(self._settings.database)
        try:
            host, port = self._listener.getsockname()[:2]
            log.info(
                "service.workers",
                workers=self._settings.workers,
                places=self._settings.places,
                address=f"http://{host}:{port}",
            )
            async with asyncio.TaskGroup() as tasks:
                for number in range(1, self._settings.workers + 1):
                    tasks.create_task(self._keep(number, CallStore(database)), name=f"worker-{number}")
        finally:
            await database.close()
        return self._status

    def _stop(self) -> None:
        self._signals += 1
        self._told.set()
        log.info("service.stopping", at_once=self._signals > 1)
        for process in self._workers.values():
            _command(process)
        grace = self._settings.drain_seconds if self._signals == 1 else 0.0
        asyncio.get_running_loop().call_later(grace + _CLOSING_SECONDS, self._kill)

    def _kill(self) -> None:
        for number, process in self._workers.items():
            log.error("worker.killed", worker=number, reason="it did not stop in time")
            process.kill()

    async def _keep(self, number: int, calls: CallStore) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._signals:
            owner = f"{self._family}.worker{number}-{secrets.token_hex(4)}"
            began = loop.time()
            status = await self._run_worker(number, owner)
            await _release(owner, calls)
            if self._signals:
                return
            if status == SETTINGS_STATUS and not failures and loop.time() - began < _HEALTHY_SECONDS:
                self._status = status
                self._stop()
                return
            failures = failures + 1 if loop.time() - began < _HEALTHY_SECONDS else 1
            delay = restart_delay(failures)
            log.error("worker.died", worker=number, reason=_reason(status), restart_in_seconds=delay)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._told.wait()

    async def _run_worker(self, number: int, owner: str) -> int:
        """The exit status of a new worker, once it has ended; negative for the signal that ended it."""
        descriptor = self._listener.fileno()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app.cli.worker"),
                stdin=PIPE,
                pass_fds=(descriptor,),
                process_group=0,  # Ctrl-C is for the supervisor alone
                env={**os.environ, FOLDER_VARIABLE: self._metrics_folder},
            )
        except OSError as error:
            log.error("worker.not_started", worker=number, reason=error.strerror)
            return _NOT_STARTED_STATUS
        self._workers[number] = process
        try:
            log.info("worker.started", worker=number, pid=process.pid)
            _write(process, written(WorkerOrder(number, owner, descriptor, self._settings)))
            for _ in range(self._signals):  # that came while the process was made
                _command(process)
            return await process.wait()
        finally:
            del self._workers[number]
            forget_process(process.pid, self._metrics_folder)


async def _release(owner: str, calls: CallStore) -> None:
    """Let the other workers end the calls of a worker that is gone, now rather than when its leases expire."""
    try:
        left = await calls.release_leases(owner)
    except StorageError as error:
        log.error("leases.not_expired", code=error.code)
        return
    if left:
        log.warning("worker.calls_left", calls=left)


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)


def _command(process: Process) -> None:
    _write(process, STOP)


def _write(process: Process, data: bytes) -> None:
    """A few bytes into a pipe; a worker that is dead does not read them, and its end is noticed elsewhere."""
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(data)


def _reason(status: int) -> str:
    if status >= 0:
        return f"it ended by itself with status {status}"
    return f"it was ended by {signal.Signals(-status).name}"
