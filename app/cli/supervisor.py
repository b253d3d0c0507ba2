"""Runs several worker processes as one service: starts them, replaces dead ones, and stops them together.

The supervisor prepares what the workers share: the database, the listening socket, the metrics folder and, if needed,
the sandbox. It answers no requests itself. Workers are new processes, not forks of this one.

Task ledger.

``worker-<n>``   keeps one worker running. Ends when the worker has ended after a signal.
``heartbeats``   kills workers that hang. Ends with the last worker after a signal.
``orders``       ends the service when an operator has drained it. Ends with the last worker after a signal.
``release-<n>``  releases the calls of a dead worker. Ends when that is done, or after a minute.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import ExitStack, suppress
from datetime import datetime
from tempfile import TemporaryDirectory

import structlog

from app.backoff import Backoff
from app.cli.heartbeats import LOOK_SECONDS, Look, Pulse
from app.cli.orders import RELOAD, STOP, WorkerOrder, written
from app.cli.sandbox_process import vendors
from app.cli.settings_problems import SETTINGS_STATUS, warn_of_misspelt
from app.clock import utc_now
from app.errors import StorageError
from app.observability.logs import configure_logging
from app.observability.metrics import FOLDER_VARIABLE, forget_process
from app.observability.outages import Outage
from app.settings import Settings
from app.start_checks import check_settings, warn_of_root
from app.storage.calls import CallStore
from app.storage.database import Database, migrate
from app.storage.service_orders import ServiceOrderStore

log = structlog.get_logger(__name__)

_BACKLOG = 2048
_BEATS_AT_ONCE = 4096
_RELEASE_SECONDS = 60.0
"""How long to try to release the calls of a dead worker. By then its leases have expired anyway."""
_RELEASE_AGAIN_SECONDS = 0.5
_ORDERS_SECONDS = 0.5
_CLOSING_SECONDS = 40.0
"""The most that a worker needs for goodbyes and its last rows. After that it is killed."""
_HEALTHY_SECONDS = 30.0
"""A worker that lives so long has started successfully."""
RESTART_BACKOFF = Backoff(first_seconds=0.5, max_seconds=30.0, immediate_retries=1)
"""For a worker that dies early, again and again; one that dies once is replaced at once."""
_CANNOT_LISTEN_STATUS = 1
_NOT_STARTED_STATUS = 3


def supervise(settings: Settings) -> int:
    """Serve with ``settings.workers`` processes until a signal. Returns the exit status. Raises SettingsError."""
    configure_logging(settings.log_level, is_traced=settings.otel_exporter_otlp_endpoint is not None)
    warn_of_misspelt()
    warn_of_root(os.geteuid())
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


class Supervisor:
    """Keeps the workers running until a signal. The first lets their calls end; the second stops at once."""

    def __init__(self, settings: Settings, listener: socket.socket, metrics_folder: str) -> None:
        self._settings = settings
        self._listener = listener
        self._metrics_folder = metrics_folder
        self._family = secrets.token_hex(4)
        self._workers: dict[int, Process] = {}
        self._pulses: dict[int, Pulse] = {}
        self._hung: dict[int, str] = {}
        """Why a worker was killed, by its number."""
        self._signals = 0
        self._signalled = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Run until every worker has ended after a signal. Returns the exit status."""
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signal_number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
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
                watching = tasks.create_task(self._watch(), name="heartbeats")
                obeying = tasks.create_task(self._obey(database, utc_now()), name="orders")
                async with asyncio.TaskGroup() as workers:
                    for number in range(1, self._settings.workers + 1):
                        kept = self._keep(number, CallStore(database), tasks)
                        workers.create_task(kept, name=f"worker-{number}")
                watching.cancel()
                obeying.cancel()
        finally:
            await database.close()
        return self._status

    def _stop(self) -> None:
        self._signals += 1
        self._signalled.set()
        log.info("service.stopping", at_once=self._signals > 1)
        for process in self._workers.values():
            _command(process)
        grace = self._settings.drain_seconds if self._signals == 1 else 0.0
        asyncio.get_running_loop().call_later(grace + _CLOSING_SECONDS, self._kill)

    def _reload(self) -> None:
        for process in self._workers.values():
            _write(process, RELOAD)

    def _kill(self) -> None:
        for number, process in self._workers.items():
            log.error("worker.killed", worker=number, reason="it did not stop in time")
            _kill(process)

    async def _obey(self, database: Database, started: datetime) -> None:
        """Stop once an operator has drained the service. The workers see to it that no new call begins."""
        orders, calls = ServiceOrderStore(database), CallStore(database)
        while not self._signals:
            await asyncio.sleep(_ORDERS_SECONDS)
            with suppress(StorageError):  # the workers' health tells of it
                if (await orders.current()).is_to_end(started) and not await calls.count_live():
                    self._stop()

    async def _watch(self) -> None:
        """Kill workers that hang. The task that waits for a worker's end does the rest."""
        clock = asyncio.get_running_loop().time
        look = Look(clock())
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = clock()
            if look.was_away(now):
                for pulse in self._pulses.values():
                    pulse.excuse(now)
            for number, pulse in self._pulses.items():
                reason = pulse.overdue(now)
                if reason is not None and number not in self._hung:
                    self._hung[number] = reason
                    _kill(self._workers[number])

    async def _keep(self, number: int, calls: CallStore, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._signals:
            owner = f"{self._family}.worker{number}-{secrets.token_hex(4)}"
            began = loop.time()
            status = await self._run_worker(number, owner)
            tasks.create_task(self._release(owner, calls), name=f"release-{number}")
            if self._signals:
                if number in self._hung:
                    log.error("worker.killed", worker=number, reason=self._reason(number, status))
                return
            if status == SETTINGS_STATUS and not failures and loop.time() - began < _HEALTHY_SECONDS:
                self._status = status
                self._stop()
                return
            failures = failures + 1 if loop.time() - began < _HEALTHY_SECONDS else 1
            delay = RESTART_BACKOFF.delay(failures)
            log.error("worker.died", worker=number, reason=self._reason(number, status), restart_in_seconds=delay)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._signalled.wait()

    async def _run_worker(self, number: int, owner: str) -> int:
        """Run a new worker until it ends. Returns its exit status; negative for the signal that ended it."""
        descriptor = self._listener.fileno()
        try:
            listening, beating = os.pipe()
        except OSError as error:
            log.error("worker.not_started", worker=number, reason=error.strerror)
            return _NOT_STARTED_STATUS
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app.cli.worker"),
                stdin=PIPE,
                pass_fds=(descriptor, beating),
                process_group=0,  # Ctrl-C is for the supervisor alone
                env={**os.environ, FOLDER_VARIABLE: self._metrics_folder},
            )
        except OSError as error:
            log.error("worker.not_started", worker=number, reason=error.strerror)
            os.close(listening)
            return _NOT_STARTED_STATUS
        finally:
            os.close(beating)
        self._workers[number] = process
        self._listen(number, listening)
        try:
            log.info("worker.started", worker=number, pid=process.pid)
            _write(process, written(WorkerOrder(number, owner, descriptor, beating, self._settings)))
            for _ in range(self._signals):  # signals that came while the process was being made
                _command(process)
            return await process.wait()
        finally:
            del self._workers[number], self._pulses[number]
            asyncio.get_running_loop().remove_reader(listening)
            os.close(listening)
            forget_process(process.pid, self._metrics_folder)

    def _listen(self, number: int, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        pulse = self._pulses[number] = Pulse(loop.time())

        def on_readable() -> None:
            if os.read(descriptor, _BEATS_AT_ONCE):
                pulse.beat(loop.time())
            else:
                loop.remove_reader(descriptor)
                pulse.closed(loop.time())

        loop.add_reader(descriptor, on_readable)

    async def _release(self, owner: str, calls: CallStore) -> None:
        """Release the calls of a dead worker, so that others end them now rather than when its leases expire.

        The replacement of the worker does not wait for this: the database may be locked.
        """
        loop = asyncio.get_running_loop()
        until, outage = loop.time() + _RELEASE_SECONDS, Outage("leases.not_expired", "leases.expired")
        while True:
            try:
                left = await calls.release_leases(owner)
            except StorageError as error:
                outage.failed(error)
                if self._signals or loop.time() > until:
                    return
                await asyncio.sleep(_RELEASE_AGAIN_SECONDS)
            else:
                outage.over()
                if left:
                    log.warning("worker.calls_left", calls=left)
                return

    def _reason(self, number: int, status: int) -> str:
        hung = self._hung.pop(number, None)
        if hung is not None:
            return f"{hung}, and it was killed"
        if status >= 0:
            return f"it ended by itself with status {status}"
        return f"it was ended by {signal.Signals(-status).name}"


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):  # it has just ended, and the task that waits for it will notice
        process.kill()


def _command(process: Process) -> None:
    _write(process, STOP)


def _write(process: Process, data: bytes) -> None:
    """Write a few bytes into the worker's pipe. A dead worker does not read them; its task notices the end."""
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(data)
