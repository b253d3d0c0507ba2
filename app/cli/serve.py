"""Runs the service under uvicorn. SIGTERM lets live calls end before anything is closed."""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from app.cli.sandbox_process import vendors
from app.cli.settings_problems import warn_of_misspelt
from app.main import create_app
from app.observability.listeners import Listeners
from app.observability.logs import configure_logging
from app.observability.tracebacks import describe, trace
from app.settings import Settings
from app.start_checks import warn_of_root
from media.dialects.protocol import MAX_MESSAGE_BYTES
from routers.connections import BoundedWebSocket, bounded_http

log = structlog.get_logger(__name__)

_FILES = 65_536
FAILED_STATUS = 70
"""Exit status of a process that can no longer carry calls (EX_SOFTWARE of sysexits.h)."""
_ENDING_SECONDS = 60.0
"""Time for goodbyes and the last rows, before a failed process ends itself."""


class DrainingServer(uvicorn.Server):
    """Drains the calls before it stops. uvicorn itself closes every websocket at once.

    A second signal stops at once.
    """

    ends_when_drained = True
    """Whether this process itself ends when an operator has drained the service."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None
        self.has_failed = False
        """Whether a part that calls need is gone, or the services did not close."""
        self.on_failed = Listeners[[]]("service.failed")
        """Called once, when the service can no longer carry calls."""

    @property
    def is_draining(self) -> bool:
        """Whether the server stops when its calls have ended."""
        return self._drain is not None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the calls have ended after a signal."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)
        self.has_failed |= self._is_lost() or getattr(self.lifespan, "shutdown_failed", False)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: stop if the service can no longer carry calls, or if an operator wants it to end."""
        if not self.has_failed and self._is_lost():
            self.has_failed = True
            log.error("service.failed")
            self.on_failed()
            if self._drain is not None:
                self._drain.cancel()
            self._drain = asyncio.get_running_loop().create_task(self._drain_then_stop(0.0), name="drain")
        services = getattr(self._app.state, "services", None)
        if (
            self.ends_when_drained
            and self._drain is None
            and services is not None
            and services.operators.orders.is_to_end
        ):
            self.drain()
        return await super().on_tick(counter)

    def _is_lost(self) -> bool:
        services = getattr(self._app.state, "services", None)
        is_gone = services is not None and services.loops.gone.is_set()
        return is_gone or bool(getattr(self.lifespan, "error_occurred", False))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start all services, and listen.

        A full garbage collection would visit the 300,000 objects of the libraries and silence every call for 100 ms.
        Once frozen, they are never visited again. The collector is off during the start, where it would visit them
        again and again, which takes a fifth of the start.
        """
        await super().startup(sockets)
        gc.freeze()
        gc.enable()
        self.listen_for_reload()

    def listen_for_reload(self) -> None:
        """Look at the files of the agents at SIGHUP. Only a process that is all ours is told by a signal."""
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)

    def reload(self) -> None:
        """Read the files of agents that have changed now rather than in two seconds."""
        services = getattr(self._app.state, "services", None)
        if services is not None:
            services.agents.read_anew()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first SIGTERM or SIGINT, stop at the second."""
        if not self.drain():
            super().handle_exit(sig, frame)

    def drain(self) -> bool:
        """Let the calls end, then stop. Returns False if it is draining already, or has not started yet."""
        if self._drain is not None or self._loop is None or not self.started:
            return False
        self._drain = self._loop.create_task(self._drain_then_stop(self._drain_seconds), name="drain")
        return True

    async def _drain_then_stop(self, seconds: float) -> None:
        try:
            await self._app.state.services.dispatcher.drain(seconds)
        except asyncio.CancelledError:
            return  # a shorter drain has begun
        except Exception as error:  # noqa: BLE001 - the process stops all the same
            log.error("service.not_drained", error=describe(error), trace=trace(error))
        self.should_exit = True


def _end_within(seconds: float) -> None:
    """End the process after so many seconds, in case a thread that hangs (in the database, for example) blocks it."""
    ending = threading.Timer(seconds, os._exit, (FAILED_STATUS,))
    ending.daemon = True
    ending.start()


def uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """The configuration of uvicorn.

    Websocket pings are off: LiveKit's egress answers them wrongly, and the audio itself shows who is alive.
    """
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=bounded_http(),
        ws=BoundedWebSocket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
        server_header=False,
    )


def serve_alone(settings: Settings) -> None:
    """Serve in this process until a signal. Raises SettingsError."""
    configure_logging(settings.log_level, is_traced=settings.otel_exporter_otlp_endpoint is not None)
    warn_of_misspelt()
    warn_of_root(os.geteuid())
    with vendors(settings) as complete:
        app = create_app(complete)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run_server(DrainingServer(uvicorn_config(app, complete), app, complete.drain_seconds))


def _allow_many_files() -> None:
    """Raise the limit of open files: each connection is one, and many hosts allow only a thousand by default."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def run_server(server: DrainingServer, sockets: list[socket.socket] | None = None) -> None:
    """Serve until the end, in a process that has imported and built what it needs. Raises SystemExit on failure."""
    _allow_many_files()
    server.on_failed.add(partial(_end_within, _ENDING_SECONDS))
    server.run(sockets)
    if server.has_failed:
        sys.exit(FAILED_STATUS)
