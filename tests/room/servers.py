"""Redis and livekit-server as child processes, which listen on free ports of this machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.carrier.livekit_server import LiveKitKey, find_livekit_server
from sandbox.carrier.livekit_server import LiveKitServer as Server
from sandbox.carrier.livekit_server import livekit_server as running_server
from sandbox.child_server import ServerMissing, free_port, stop_child, wait_until_it_listens

KEY, SECRET = "devkey", "a-secret-of-more-than-32-characters-for-tests"
_STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """It runs, and sends its webhooks to a port. Redis keeps trunks and rules while it does not run."""

    server: Server
    webhook_port: int

    @property
    def url(self) -> str:
        return self.server.url


@contextmanager
def livekit_server(folder: Path) -> Iterator[LiveKitServer]:
    """Runs until the context is left; trunks and rules need its Redis, rooms do not."""
    program = find_livekit_server()
    redis_port, webhook_port = free_port(), free_port()
    webhook_url = f"http://127.0.0.1:{webhook_port}/webhooks/livekit"
    key = LiveKitKey(KEY, SECRET)
    with _redis(redis_port), running_server(program, folder, key, webhook_url, redis_port=redis_port) as server:
        yield LiveKitServer(server, webhook_port)


@contextmanager
def livekit_given(environment: Mapping[str, str]) -> Iterator[None]:
    """A livekit-server that has its configuration from the environment alone, as containers have."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH")}
    process = subprocess.Popen([find_livekit_server()], env={**kept, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        stop_child(process, _STOP_SECONDS)


@contextmanager
def _redis(port: int) -> Iterator[None]:
    program = shutil.which("redis-server")
    if program is None:
        raise ServerMissing("Trunks and rules need redis-server, which is not here: apt-get install redis-server.")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_it_listens(port, process, "redis-server")
        yield
    finally:
        stop_child(process, _STOP_SECONDS)
