"""A livekit-server as a child process, for calls through real rooms; Go builds it where there is none."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.cli.sandbox_process import stop_child

_MODULE = "github.com/livekit/livekit-server/cmd/server@v1.13.5"
_LOOKS, _LOOK_SECONDS = 200, 0.05
_STOP_SECONDS = 5
_CONFIG = """\
port: {port}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}, use_external_ip: false, node_ip: 127.0.0.1,
       enable_loopback_candidate: true}}
keys: {{{key}: {secret}}}
webhook: {{api_key: {key}, urls: ["{webhook_url}"]}}
logging: {{level: error}}
"""


class NoLiveKitServer(Exception):
    """There is none here; the text says how to get one."""


@dataclass(frozen=True, slots=True)
class LiveKitKey:
    """What signs the server's webhooks, and the tokens of those who join its rooms."""

    key: str
    secret: str


def find_livekit_server() -> str:
    """The path of the program; builds it when only Go is here, which takes some minutes. Raises NoLiveKitServer."""
    told = os.environ.get("LIVEKIT_SERVER") or shutil.which("livekit-server")
    if told:
        return told
    go = shutil.which("go")
    folder = _go_folder(go) if go else Path.home() / "go" / "bin"
    installed = folder / "server"  # go install names it after its folder
    if not installed.is_file():
        if go is None:
            raise NoLiveKitServer(
                "A call through a room needs livekit-server, which is not here: install it, or Go 1.26 or newer, "
                f"which builds it (go install {_MODULE}); or say LIVEKIT_SERVER=<its path>."
            )
        sys.stderr.write("Building livekit-server with Go: once, some minutes\n")
        built = subprocess.run([go, "install", _MODULE], env={**os.environ, "GOBIN": str(folder)})  # noqa: S603 - ours
        if built.returncode:
            raise NoLiveKitServer("Go could not build livekit-server; what it said is above.")
    return str(installed)


@contextmanager
def livekit_process(program: str, folder: Path, key: LiveKitKey, webhook_url: str) -> Iterator[str]:
    """Run it beside this process; gives its websocket address. It needs no Redis for rooms."""
    ports = {name: free_port() for name in ("port", "tcp_port", "udp_port")}
    config = folder / "livekit.yaml"
    config.write_text(_CONFIG.format(**ports, key=key.key, secret=key.secret, webhook_url=webhook_url))
    with (folder / "livekit.log").open("ab") as log:
        child = subprocess.Popen([program, "--config", str(config)], stdout=log, stderr=log)  # noqa: S603 - ours
        try:
            _wait_until_it_listens(ports["port"], child)
            yield f"ws://127.0.0.1:{ports['port']}"
        finally:
            stop_child(child, _STOP_SECONDS)


def free_port() -> int:
    """One that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _go_folder(go: str) -> Path:
    outcome = subprocess.run([go, "env", "GOBIN", "GOPATH"], capture_output=True, text=True)  # noqa: S603 - ours
    binaries, _, path = outcome.stdout.partition("\n")
    return Path(binaries) if binaries else Path(path.strip() or Path.home() / "go") / "bin"


def _wait_until_it_listens(port: int, child: "subprocess.Popen[bytes]") -> None:
    for _ in range(_LOOKS):
        if child.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)  # a program of another language has nothing to wait on but its port
        else:
            return
    raise NoLiveKitServer("livekit-server did not start; data/demo/livekit.log says why.")
