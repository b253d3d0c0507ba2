"""Child processes of a benchmark, pinned to cores if wanted, and their figures from the kernel (Linux)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.child_server import comes_up, free_port, stop_child

_TICKS = os.sysconf("SC_CLK_TCK")
_STARTS_SECONDS = 30
_STOPS_SECONDS = 60
_LOOKS_SECONDS = 0.002
_SELDOM_SECONDS = 0.1
SERVICE_CORE, LOAD_CORE = 0, 1
AUTHORIZED = {"Authorization": "Bearer bench"}


@dataclass(frozen=True, slots=True)
class Pinned:
    """A running process."""

    pid: int
    url: str
    ready_after: float
    """Seconds from the start until it was ready."""

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, in seconds."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """The memory of the process now."""
        return resident_bytes(self.pid)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """The memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def sandbox(profile: str, *options: str, core: int | None = LOAD_CORE) -> Iterator[tuple[Pinned, dict[str, str]]]:
    """The vendors' stand-ins on the load's core, and their addresses by the service's environment names."""
    command = [sys.executable, "-m", "sandbox", "--profile", profile, "--with-parent", *options]
    with _child(command, {}, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        addresses = json.loads(child.stdout.readline())
        names = ("deepgram_base_url", "openai_base_url", "cartesia_base_url")
        yield Pinned(child.pid, addresses["url"], 0.0), {name.upper(): addresses[name] for name in names}


@contextmanager
def service(
    data_dir: Path, addresses: dict[str, str], *, core: int | None = SERVICE_CORE, **more: str
) -> Iterator[Pinned]:
    """The service as an operator runs it, pinned to a core. Its log goes to a file in its folder."""
    port = free_port()
    keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY", "API_KEY"), "bench")
    environment = {
        **keys, **addresses, "PROVIDERS": "live", "PORT": str(port), "DATA_DIR": str(data_dir), "VA_HOST": "127.0.0.1",
        "MAX_CONCURRENT_CALLS": "500", "DRAIN_SECONDS": "0", "STALL_TURNS": "0",
        **more,
    }  # fmt: skip
    began = time.monotonic()  # noqa: TID251 - a process is timed, there is no loop
    with (
        (data_dir / "service.log").open("ab") as log,
        _child([sys.executable, "-m", "app.cli", "serve"], environment, core, stderr=log) as child,
    ):
        url = f"http://127.0.0.1:{port}"
        _until("ready", child, lambda http: http.get(f"{url}/health/ready").is_success, _LOOKS_SECONDS)
        ready_after = time.monotonic() - began  # noqa: TID251 - as above
        # The model's client loads its library while the service is ready already: that is no cost of a call.
        _until("warm", child, lambda http: _is_warm(http.get(f"{url}/health", headers=AUTHORIZED)), _SELDOM_SECONDS)
        yield Pinned(child.pid, url, ready_after)


@contextmanager
def _child(command: Sequence[str], environment: dict[str, str], core: int | None, **pipes: Any) -> Iterator[Any]:
    """Pinned to a core; on any core if None."""
    pinned = command if core is None else ["taskset", "--cpu-list", str(core), *command]
    child = subprocess.Popen(pinned, env={**os.environ, **environment}, **pipes)  # noqa: S603 - our own programs
    try:
        yield child
    finally:
        stop_child(child, _STOPS_SECONDS)


def _until(
    state: str, child: "subprocess.Popen[bytes]", asked: Callable[[httpx.Client], bool], look_seconds: float
) -> None:
    with httpx.Client(trust_env=False) as http:

        def is_so() -> bool:
            with suppress(httpx.TransportError):
                return asked(http)
            return False

        if not comes_up(child, is_so, _STARTS_SECONDS, look_seconds):
            raise RuntimeError(f"the service was not {state} in time; its log says why")


def _is_warm(health: httpx.Response) -> bool:
    return any(each["name"] == "openai" and each["last_success"] for each in health.json()["components"])
