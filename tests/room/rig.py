"""The whole system as it is run: Redis, livekit-server, the sandbox and the service are processes of their own.

The telephones, and what stands in LiveKit SIP's place for them, are in the process of the tests.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from livekit import api

from app.cli.sandbox_process import SandboxAddresses, sandbox_process
from sandbox.caller.caller import Caller
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score
from sandbox.carrier.carrier import TELEPHONE, Carrier, carrier_of
from sandbox.child_server import comes_up, stop_child
from tests.room.house import GREETING, OUR_NUMBER, speak
from tests.room.servers import KEY, SECRET, LiveKitServer, livekit_server

WORKERS = 2
_API_KEY = "key-of-the-operator"
_STARTS_SECONDS, _STOPS_SECONDS = 90, 15
_LOOK_SECONDS, _GREETED_LOOK_SECONDS = 0.05, 1


@dataclass(slots=True)
class Rig:
    """Where everything is, and what an operator, a caller and a disaster can do."""

    url: str
    server: LiveKitServer
    sandbox: SandboxAddresses
    carrier: Carrier
    service: "subprocess.Popen[bytes]"
    log_path: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {_API_KEY}"}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, trust_env=False, timeout=20)

    async def call(self, score: Score, number: str) -> CallReport:
        """Play a score over the telephone."""
        async with self.caller() as caller:
            return await caller.call_through(score, lambda: self.carrier.dial(number))

    def caller(self) -> Caller:
        """For several calls at once."""
        return Caller(
            self.url,
            speak,
            sandbox_url=self.sandbox.url,
            api_key=_API_KEY,
            telephone=TELEPHONE,
            longest_call_seconds=120,
        )

    async def get(self, path: str) -> Any:
        async with self.client() as http:
            return (await http.get(path)).raise_for_status()

    async def record(self, call_id: str) -> dict[str, Any]:
        """The record once the call has ended."""
        async with asyncio.timeout(60):
            while True:
                record: dict[str, Any] = (await self.get(f"/calls/{call_id}")).json()
                if record["status"] == "ended":
                    return record
                await asyncio.sleep(_LOOK_SECONDS)

    async def record_of(self, number: str) -> dict[str, Any]:
        """The record of the only call from a number, once it has ended."""
        async with asyncio.timeout(60):
            while True:
                calls = (await self.get(f"/calls?from={number.replace('+', '%2B')}&status=ended")).json()["calls"]
                if calls:
                    [call] = calls
                    return await self.record(call["call_id"])
                await asyncio.sleep(_LOOK_SECONDS)

    async def journal(self, call_id: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.get(f"/calls/{call_id}/events")).json()["events"]
        return rows

    async def until_greeted(self, call_id: str) -> None:
        """Return once the agent has said its first words, and they are safe in the journal."""
        async with asyncio.timeout(60):
            while not any(row["type"] == "agent.finished" for row in await self.journal(call_id)):
                await asyncio.sleep(_GREETED_LOOK_SECONDS)

    async def rooms(self) -> list[str]:
        """Those that are open."""
        async with api.LiveKitAPI(self.server.url, KEY, SECRET, failover=False) as livekit:
            return [room.name for room in (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms]

    def worker_of(self, call_id: str) -> int:
        """The number of the worker that holds the call."""
        with closing(sqlite3.connect(self.log_path.parent / "data" / "calls.db")) as database:
            [(owner,)] = database.execute("SELECT owner FROM calls WHERE call_id = ?", (call_id,))
        return int(owner.partition("worker")[2].partition("-")[0])

    def workers(self) -> list[int]:
        """The processes of the workers, by their numbers."""
        return [pid for _, pid in sorted(self.pids().items())]

    def pids(self) -> dict[int, int]:
        """The processes of the workers that serve, by their numbers."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return {line["worker"]: line["pid"] for line in lines if line["event"] == "worker.started"}


@contextmanager
def rig(folder: Path, server: LiveKitServer | None = None, **variables: str) -> Iterator[Rig]:
    """Runs until the context is left; on a server that runs, or on one of its own."""
    with ExitStack() as stack:
        if server is None:
            server = stack.enter_context(livekit_server(folder))
        sandbox = stack.enter_context(sandbox_process("instant"))
        environment = _environment(folder, server, sandbox, variables)
        _run_setup(environment)
        carrier = asyncio.run(carrier_of(server.url, KEY, SECRET, OUR_NUMBER))
        log_path = folder / "service.log"
        with log_path.open("wb") as log:
            command = [sys.executable, "-m", "app.cli", "serve", "--workers", str(WORKERS)]
            service = subprocess.Popen(command, env=environment, stderr=log)
        stack.callback(stop_child, service, _STOPS_SECONDS)
        running = Rig(f"http://127.0.0.1:{server.webhook_port}", server, sandbox, carrier, service, log_path)
        _wait_until_ready(running)
        yield running


def _environment(
    folder: Path, server: LiveKitServer, sandbox: SandboxAddresses, variables: dict[str, str]
) -> dict[str, str]:
    """Nothing of this machine but where the programs are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"), "a-vendors-secret-key")
    own = {
        "API_KEY": _API_KEY,
        "DATA_DIR": str(folder / "data"),
        "ENVIRONMENT": "development",
        "GREETING": GREETING,
        "IDLE_PROMPT_SECONDS": "100",  # callers wait for each other, however slow the machine
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
        "LIVEKIT_URL": server.url,
        "PORT": str(server.webhook_port),
        "PUBLIC_IP": "203.0.113.7",
        "SIP_ALLOWED_ADDRESSES": "203.0.113.9/32",
        "SIP_NUMBER": OUR_NUMBER,
        "SIP_SERVER": "sip.example.org:5060",
        "VA_HOST": "127.0.0.1",
    }
    return {**kept, **keys, **sandbox.settings(), **own, **variables}


def _run_setup(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "app.cli", "setup"]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def _wait_until_ready(running: Rig) -> None:
    def is_ready() -> bool:
        with suppress(httpx.TransportError):
            ready = httpx.get(f"{running.url}/health/ready", trust_env=False).is_success
            return ready and len(running.pids()) == WORKERS
        return False

    assert comes_up(running.service, is_ready, _STARTS_SECONDS), running.log_path.read_text()
