"""The commands as an operator runs them: child processes with an environment of their own."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from app.clients.tls import tls_context
from sandbox.caller.caller import Caller
from sandbox.child_server import free_port
from tests.end_to_end.calls import GREETING, speak
from tests.support.databases import databases, url_of

KEY = "key-of-the-operator"
_STARTS_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A ``serve`` that runs, and what it wrote."""

    url: str
    process: Process
    log_path: Path
    sandbox_url: str

    def caller(self, **options: Any) -> Caller:
        return Caller(self.url, speak, sandbox_url=self.sandbox_url, api_key=KEY, longest_call_seconds=120, **options)

    def client(self, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, verify=tls_context(), **options)

    def log_lines(self) -> list[str]:
        return self.log_path.read_text().splitlines()

    async def kill(self) -> None:
        """As the kernel does it when memory is short."""
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        """As a deployment does it; gives the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


def environment(**variables: str) -> dict[str, str]:
    """Nothing of this machine but where the programs are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONWARNINGS": "ignore", **variables}


@asynccontextmanager
async def sandbox_process(profile: str = "instant") -> AsyncIterator[dict[str, str]]:
    """The vendors, outliving any service; gives their addresses."""
    command = (sys.executable, "-m", "sandbox", "--profile", profile)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL, env=environment())
    try:
        assert process.stdout
        yield json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def serving(
    data_dir: Path,
    sandbox: Mapping[str, str],
    *,
    log_name: str = "service.log",
    takes_calls: bool = True,
    **variables: str,
) -> AsyncIterator[ServiceProcess]:
    """``python -m app.cli serve``, ready, or without ``takes_calls`` alive; killed on leaving if it still runs."""
    port = variables.get("PORT") or str(free_port())
    keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"), "a-vendors-secret-key")
    vendors = {name.upper(): url for name, url in sandbox.items() if name != "url"}
    own = {"PORT": port, "API_KEY": KEY, "DATA_DIR": str(data_dir), "GREETING": GREETING, "TTS_SPEED": "1.5"}
    if databases.are_on_postgres:
        own["DATABASE_URL"] = url_of(data_dir / "calls.db")
    log_path = data_dir / log_name
    with _new_file(log_path) as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "serve"),
            stderr=log,
            env=environment(**keys | vendors | own | variables),
        )
    service = ServiceProcess(f"http://127.0.0.1:{port}", process, log_path, sandbox["url"])
    try:
        await _until_ready(service, "/health/ready" if takes_calls else "/health/live")
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _new_file(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


async def _until_ready(service: ServiceProcess, path: str) -> None:
    async with service.client() as http, asyncio.timeout(_STARTS_SECONDS):
        while True:
            assert service.process.returncode is None, service.log_path.read_text()
            try:
                if (await http.get(path)).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
