"""Servers of this machine as child processes: a port for each, when it listens, and its end."""

import secrets
import socket
import subprocess
import time
from contextlib import suppress
from typing import Any

_PORTS = range(15000, 32000)
_LOOKS, _LOOK_SECONDS = 200, 0.05


class ServerMissing(Exception):
    """A server that is needed is not installed here, or does not start; the text says what to do."""


def free_port() -> int:
    """One that nothing listens on now, and that no outgoing connection of this machine will be given."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def wait_until_it_listens(port: int, child: "subprocess.Popen[Any]", name: str) -> None:
    """Return once somebody answers at the port, within 10 s. Raises ServerMissing."""
    for _ in range(_LOOKS):
        if child.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)  # a program of another language has nothing to wait on but its port
        else:
            return
    raise ServerMissing(f"{name} did not start; its log says why.")


def stop_child(child: "subprocess.Popen[Any]", seconds: float) -> None:
    """Have a child process end by itself within so many seconds, or end it."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
