"""Runs a livekit-server on this machine, for calls through real rooms; builds it with Go if it is not installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.child_server import ServerMissing, free_port, stop_child, wait_until_it_listens

_MODULE = "github.com/livekit/livekit-server/cmd/server@v1.13.5"
_STOP_SECONDS = 5
_CONFIGURED = os.environ.get("LIVEKIT_SERVER")
_CONFIG = """\
port: {port}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}, use_external_ip: false, node_ip: 127.0.0.1,
       enable_loopback_candidate: true}}
keys: {{{key}: {secret}}}
webhook: {{api_key: {key}, urls: ["{webhook_url}"]}}
logging: {{level: error}}
"""
_REDIS = 'redis: {{address: "127.0.0.1:{port}"}}\n'


@dataclass(frozen=True, slots=True)
class LiveKitKey:
    """The API key that signs the server's webhooks and the tokens of participants."""

    key: str
    secret: str
    """At least 32 characters."""


@dataclass(slots=True)
class LiveKitServer:
    """A server that can be killed and started again; its log lies beside its configuration."""

    program: str
    config: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The websocket address."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start; returns once it listens. Raises ServerMissing."""
        with self.config.with_suffix(".log").open("ab") as log:
            command = [self.program, "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - ours
        wait_until_it_listens(self.port, self.process, f"livekit-server ({self.config.with_suffix('.log')})")

    def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Stop it, as a shutdown of the machine does."""
        if self.process is not None:
            stop_child(self.process, _STOP_SECONDS)


@contextmanager
def livekit_server(
    program: str, folder: Path, key: LiveKitKey, webhook_url: str, *, redis_port: int | None = None
) -> Iterator[LiveKitServer]:
    """Run until the context exits; rooms need no Redis, trunks and rules do. Raises ServerMissing."""
    ports = {name: free_port() for name in ("port", "tcp_port", "udp_port")}
    config = folder / "livekit.yaml"
    text = _CONFIG.format(**ports, key=key.key, secret=key.secret, webhook_url=webhook_url)
    config.write_text(text + (_REDIS.format(port=redis_port) if redis_port else ""))
    server = LiveKitServer(program, config, ports["port"])
    try:
        server.start()
        yield server
    finally:
        server.stop()


def find_livekit_server() -> str:
    """The path of the program; if only Go is installed, builds it in some minutes. Raises ServerMissing."""
    configured = _CONFIGURED or shutil.which("livekit-server")
    if configured:
        return configured
    go = shutil.which("go")
    folder = _go_folder(go) if go else Path.home() / "go" / "bin"
    installed = folder / "server"  # go install names it after its folder
    if not installed.is_file():
        if go is None:
            raise ServerMissing(
                "Calls through real rooms need livekit-server, which is not here: install it, or Go 1.26 or newer, "
                f"which builds it (go install {_MODULE}); or say LIVEKIT_SERVER=<its path>."
            )
        sys.stderr.write("Building livekit-server with Go; this takes some minutes, once\n")
        built = subprocess.run([go, "install", _MODULE], env={**os.environ, "GOBIN": str(folder)})  # noqa: S603 - ours
        if built.returncode:
            raise ServerMissing("Go could not build livekit-server; its output is above.")
    return str(installed)


def _go_folder(go: str) -> Path:
    outcome = subprocess.run([go, "env", "GOBIN", "GOPATH"], capture_output=True, text=True)  # noqa: S603 - ours
    binaries, _, path = outcome.stdout.partition("\n")
    return Path(binaries) if binaries else Path(path.strip() or Path.home() / "go") / "bin"
