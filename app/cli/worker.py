"""``python -m app.cli.worker``: one of several serving processes. Only a supervisor starts it."""
# ruff: noqa: E402 - no garbage collection while the libraries load, see DrainingServer.startup

import gc
import signal

gc.disable()
if __name__ == "__main__":  # also while it starts: the supervisor passes on what SIGHUP means
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

import asyncio
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import structlog

from app.cli.heartbeats import Heart
from app.cli.native_panic import end_at_a_panic
from app.cli.orders import RELOAD, read_order
from app.cli.serve import DrainingServer, run_server, uvicorn_config
from app.cli.settings_problems import SETTINGS_STATUS, print_problems
from app.errors import SettingsError
from app.main import create_app
from app.observability.logs import configure_logging


class WorkerServer(DrainingServer):
    """Obeys its supervisor. When the supervisor is gone it drains and stops: nobody would replace it if it died."""

    ends_when_drained = False  # the supervisor ends all workers then, and starts no others
    commands: BinaryIO
    heart: Heart

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the calls have ended after a command."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.commands, self._obey, loop)
        try:
            await super().serve(sockets)
        finally:
            loop.remove_reader(self.commands)
            self.heart.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start all services, listen, and send the supervisor the first heartbeat."""
        await super().startup(sockets)
        self.heart.beat()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ignore signals: a host may signal every process, and the supervisor passes on what they mean, once."""

    def listen_for_reload(self) -> None:
        """Go on ignoring the signal."""

    def _obey(self, loop: asyncio.AbstractEventLoop) -> None:
        command = self.commands.read(1)
        if command == RELOAD:
            self.reload()
            return
        is_command = bool(command)
        if not is_command:  # the supervisor is gone
            loop.remove_reader(self.commands)
        if not self.drain() and (is_command or not self.is_draining):
            self.should_exit = True


def main() -> None:
    """Read the order from the first line of standard input, and serve."""
    end_at_a_panic()
    with Path("/dev/stdin").open("rb", buffering=0) as commands:
        order = read_order(commands)
        settings = order.settings
        configure_logging(settings.log_level, is_traced=settings.otel_exporter_otlp_endpoint is not None)
        structlog.contextvars.bind_contextvars(worker=order.number)
        try:
            app = create_app(settings, order.owner)
        except SettingsError as error:
            if order.number == 1:  # the others would say the same
                print_problems(error)
            sys.exit(SETTINGS_STATUS)
        server = WorkerServer(uvicorn_config(app, settings), app, settings.drain_seconds)
        server.commands = commands
        server.heart = Heart(order.heartbeat)
        with socket.socket(fileno=order.listener) as listener:
            run_server(server, [listener])


if __name__ == "__main__":
    main()
