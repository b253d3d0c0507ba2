"""Servers of this machine as child processes: a port for each, when it listens, and its end."""

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

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    if not comes_up(child, listens, _STARTS_SECONDS):
        raise ServerMissing(f"{name} did not start; its log says why.")


def comes_up(
    child: "subprocess.Popen[Any]", is_up: Callable[[], bool], seconds: float, look_seconds: float = _LOOK_SECONDS
) -> bool:
    """Look until a child process is up; False when it has ended, or after so many seconds of waiting."""
    for _ in range(round(seconds / look_seconds)):
        if child.poll() is not None:
            return False
        if is_up():
            return True
        time.sleep(look_seconds)  # it is another program: there is nothing to wait on but what it answers
    return False


def stop_child(child: "subprocess.Popen[Any]", seconds: float) -> None:
    """Have a child process end by itself within so many seconds, or end it."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
