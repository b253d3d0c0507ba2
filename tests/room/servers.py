"""Redis and livekit-server as child processes, which listen on free ports of this machine."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

KEY, SECRET = "devkey", "a-secret-of-more-than-32-characters-for-tests"
_TOLD = os.environ.get("LIVEKIT_SERVER")
_START_LOOKS, _LOOK_SECONDS = 200, 0.05
_STOP_SECONDS = 5
_PORTS = range(15000, 32000)
_CONFIG = """
port: {port}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}, use_external_ip: false, node_ip: 127.0.0.1,
       enable_loopback_candidate: true}}
redis: {{address: "127.0.0.1:{redis_port}"}}
keys: {{{key}: {secret}}}
webhook: {{api_key: {key}, urls: ["http://127.0.0.1:{webhook_port}/webhooks/livekit"]}}
logging: {{level: error}}
"""


class ProgramMissing(Exception):
    """A server is not installed here; the text says how to get it."""


@dataclass(slots=True)
class LiveKitServer:
    """Where it listens, and where it sends its webhooks. Redis keeps trunks and rules while it does not run."""

    config: Path
    port: int
    webhook_port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return once it listens."""
        with self.config.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen([_livekit_server(), "--config", str(self.config)], stdout=log, stderr=log)
        _wait_until_it_listens(self.port, self.process)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self.process
        self.process.kill()
        self.process.wait()


@contextmanager
def livekit_server(folder: Path) -> Iterator[LiveKitServer]:
    """Runs until the context is left; trunks and rules need its Redis, rooms do not."""
    ports = {name: free_port() for name in ("port", "tcp_port", "udp_port", "webhook_port", "redis_port")}
    config = folder / "livekit.yaml"
    config.write_text(_CONFIG.format(**ports, key=KEY, secret=SECRET))
    server = LiveKitServer(config, ports["port"], ports["webhook_port"])
    with ExitStack() as stack:
        stack.enter_context(_redis(ports["redis_port"]))
        server.start()
        stack.callback(lambda: _stop(server.process))
        yield server


@contextmanager
def livekit_told_by(environment: Mapping[str, str]) -> Iterator[None]:
    """A livekit-server that has its configuration from the environment alone, as containers have."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH")}
    process = subprocess.Popen([_livekit_server()], env={**kept, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        _stop(process)


def free_port() -> int:
    """One that nothing listens on now, and that no outgoing connection of this machine will be given."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def _redis(port: int) -> Iterator[None]:
    command = [_program("redis-server", "apt-get install redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen([*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(port, process)
        yield
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes] | None") -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _livekit_server() -> str:
    """Packages call the program ``livekit-server``, ``go install`` calls it ``server``."""
    installed = Path.home() / "go" / "bin" / "server"
    told = _TOLD or (str(installed) if installed.is_file() else None)
    how = "go install github.com/livekit/livekit-server/cmd/server@v1.13.5 (Go 1.26), or LIVEKIT_SERVER=<its path>"
    return told or _program("livekit-server", how)


def _program(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProgramMissing(f"Calls through real rooms need {name}, which is not here. To get it: {how}")
    return found


def _wait_until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(_START_LOOKS):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)  # a program of another language has nothing to wait on but its port
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start")
