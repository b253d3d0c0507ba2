"""Servers as child processes of this machine: find a port, wait until it listens, stop it."""

import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_PORTS = range(15000, 32000)
_STARTS_SECONDS, _LOOK_SECONDS = 10.0, 0.05


class ServerMissing(Exception):
    """A required server is not installed here or does not start; the message says what to do."""


def free_port() -> int:
    """A port that nothing listens on, outside the range that this machine gives to outgoing connections."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_until_it_listens(port: int, child: "subprocess.Popen[Any]", name: str) -> None:
    """Return once the port accepts connections, within 10 s. Raises ServerMissing."""

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    if not comes_up(child, listens, _STARTS_SECONDS):
        raise ServerMissing(f"{name} did not start; its log says why.")


def comes_up(
    child: "subprocess.Popen[Any]", is_up: Callable[[], bool], seconds: float, look_seconds: float = _LOOK_SECONDS
) -> bool:
    """Poll until a child process is up; False when it has ended, or when ``seconds`` have passed."""
    for _ in range(round(seconds / look_seconds)):
        if child.poll() is not None:
            return False
        if is_up():
            return True
        time.sleep(look_seconds)  # another program: polling is the only way to know
    return False


def stop_child(child: "subprocess.Popen[Any]", seconds: float) -> None:
    """Terminate a child process; kill it if it has not ended within this many seconds."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
