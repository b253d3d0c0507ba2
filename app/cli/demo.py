"""A whole call on this machine: sandbox and service as child processes, a simulated caller, and a report."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from app.cli import Language
from app.cli.demo_report import print_report
from app.cli.demo_view import CallView
from app.cli.sandbox_process import Profile, SandboxAddresses, sandbox_process, stop_child
from sandbox.call_report import CallReport
from sandbox.caller import Caller
from sandbox.media_client import CallFailed
from sandbox.scores import demo
from sandbox.voice import synthesize

_FOLDER = Path("data/demo")
_API_KEY = secrets.token_hex(16)
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05


def run_demo(language: Language, profile: Profile) -> int:
    """Hold the call and print what it was like. Returns the exit status."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with sandbox_process(profile) as sandbox, _service(sandbox, language) as url:
        return asyncio.run(_call(url, sandbox, language, profile))


async def _call(url: str, sandbox: SandboxAddresses, language: Language, profile: Profile) -> int:
    view = CallView(language, profile)
    headers = {"Authorization": f"Bearer {_API_KEY}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        await _until_ready(http, url)
        with view.live():
            try:
                report = await _play(url, sandbox, language, view)
            except CallFailed as failure:
                view.fail(str(failure))
                return 1
        record = (await http.get(f"{url}/calls/{report.call_id}")).json()
        recording = _FOLDER / f"{report.call_id}.wav"
        recording.write_bytes((await http.get(f"{url}/calls/{report.call_id}/recording")).content)
        timings = (await http.get(f"{sandbox.url}/control/calls/{report.call_id}")).json()["timings"]
    print_report(record, report, timings, recording)
    return 0 if record["end_reason"] == "agent_hangup" else 1


async def _play(url: str, sandbox: SandboxAddresses, language: Language, view: CallView) -> CallReport:
    def speak(text: str, language: str, sample_rate: int) -> bytes:
        return synthesize(text, language, sample_rate).pcm

    async with Caller(url, speak, sandbox_url=sandbox.url, api_key=_API_KEY, on_event=view.show) as caller:
        return await caller.call(demo(language))


async def _until_ready(http: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get(f"{url}/health/ready")).is_success:
                    return
            await asyncio.sleep(_POLL_SECONDS)


@contextmanager
def _service(sandbox: SandboxAddresses, language: Language) -> Iterator[str]:
    """The service as an operator runs it, pointed at the sandbox; its log goes to a file."""
    port = _free_port()
    keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"), "sandbox")
    settings = {"PORT": str(port), "VA_HOST": "127.0.0.1", "VA_LANGUAGE": language, "DATA_DIR": str(_FOLDER)}
    environment = {**os.environ, **keys, **sandbox.settings(), **settings, "PROVIDERS": "live", "API_KEY": _API_KEY}
    log_path = _FOLDER / "service.log"
    with log_path.open("ab") as log:
        service = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop_child(service, _STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
