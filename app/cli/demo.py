"""``voice-agent demo``: a caller books a visit at a clinic, all on this machine.

Sandbox and service run as child processes. The clinic, which has the schedule and receives the webhooks, runs in this
process.
"""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import httpx

from app.cli import Language
from app.cli.demo_kill import MidSentenceKill
from app.cli.demo_outcome import EVENT, print_outcome, problems
from app.cli.demo_report import print_report, report_console
from app.cli.demo_telephone import NUMBER, call_by_telephone
from app.cli.demo_view import CallView
from app.cli.sandbox_process import Profile, SandboxAddresses, sandbox_process
from app.clock import utc_now
from app.settings import environment_without_settings
from sandbox.caller.caller import Caller
from sandbox.caller.events import CallerEvent
from sandbox.caller.media_client import CallFailed
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score
from sandbox.caller.scores import booking
from sandbox.carrier.livekit_server import LiveKitKey, find_livekit_server, livekit_server
from sandbox.child_server import ServerMissing, free_port, stop_child
from sandbox.clinic.clinic import TIMEZONE, Clinic, ReceivedWebhook
from sandbox.running import serving
from sandbox.vendors.voice import synthesize

_FOLDER = Path("data/demo")
_LOG = "service.log"
_AGENT = "clinic.yaml"
_NAMES = {"ru": "Анна", "en": "Anna"}
"""What the request for the call says about the caller."""
_API_KEY = secrets.token_hex(16)
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_ANALYSIS_SECONDS = 30.0
_POLL_SECONDS = 0.05


class Hold(Protocol):
    """Holds a call, and shows it meanwhile. Raises CallFailed."""

    async def __call__(self, http: httpx.AsyncClient, show: Callable[[CallerEvent], None]) -> CallReport:
        """Hold the call. Returns the caller's report."""


@dataclass(frozen=True, slots=True)
class ClinicNearby:
    """The clinic, and the port of this machine on which it will be."""

    clinic: Clinic = field(default_factory=Clinic)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """Write the file of its agent. Returns the settings of a service with that agent."""
        (_FOLDER / _AGENT).write_text(self.clinic.agent(self.url), encoding="utf-8")
        return {**self.clinic.environment(), "AGENT_PROMPT_FILE": _AGENT, "WEBHOOK_ALLOW_PRIVATE": "true"}


def run_demo(language: Language, profile: Profile, *, kill: bool = False) -> int:
    """Hold a call over a websocket and print a report. Returns the exit status: 0 when all went as it should.

    ``kill``: the process that holds the call is killed in the middle of a sentence, and another goes on.
    """
    _FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, nearby, view = free_port(), ClinicNearby(), CallView(language, profile)
    settings = nearby.settings() | ({"WORKERS": "2"} if kill else {})
    (_FOLDER / _LOG).unlink(missing_ok=True)
    with sandbox_process(profile) as sandbox, _service(sandbox, language, port, settings) as url:

        async def hold(http: httpx.AsyncClient, show: Callable[[CallerEvent], None]) -> CallReport:
            killer = (
                MidSentenceKill(f"sqlite+aiosqlite:///{_FOLDER / 'calls.db'}", _FOLDER / _LOG, view.note)
                if kill
                else None
            )

            def shown(event: CallerEvent) -> None:
                show(event)
                if killer is not None:
                    killer.watch(event)

            try:
                async with Caller(url, _speak, sandbox_url=sandbox.url, api_key=_API_KEY, on_event=shown) as caller:
                    return await caller.call(_score(language), number=NUMBER, metadata={"name": _NAMES[language]})
            finally:
                if killer is not None:
                    await killer.stop()

        return asyncio.run(_call(url, sandbox, nearby, view, hold))


def run_room_demo(language: Language, profile: Profile) -> int:
    """Hold a call over the telephone, through a room of a real LiveKit server. Returns the exit status."""
    _FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, nearby, key = free_port(), ClinicNearby(), LiveKitKey("demo", secrets.token_hex(16))
    with ExitStack() as stack:
        try:
            program = find_livekit_server()
            webhook_url = f"http://127.0.0.1:{port}/webhooks/livekit"
            livekit_url = stack.enter_context(livekit_server(program, _FOLDER, key, webhook_url)).url
        except ServerMissing as missing:
            sys.stderr.write(f"{missing}\n")
            return 1
        sandbox = stack.enter_context(sandbox_process(profile))
        room = {"LIVEKIT_URL": livekit_url, "LIVEKIT_API_KEY": key.key, "LIVEKIT_API_SECRET": key.secret}
        url = stack.enter_context(_service(sandbox, language, port, {**nearby.settings(), **room}))

        async def hold(http: httpx.AsyncClient, show: Callable[[CallerEvent], None]) -> CallReport:
            score = _score(language)
            return await call_by_telephone(http, url, sandbox.url, livekit_url, key, score, _speak, show)

        return asyncio.run(_call(url, sandbox, nearby, CallView(language, profile), hold))


def _score(language: Language) -> Score:
    return booking(language, utc_now().astimezone(ZoneInfo(TIMEZONE)).date())


async def _call(url: str, sandbox: SandboxAddresses, nearby: ClinicNearby, view: CallView, hold: Hold) -> int:
    headers = {"Authorization": f"Bearer {_API_KEY}"}
    async with (
        serving(nearby.clinic.app, port=nearby.port),
        httpx.AsyncClient(trust_env=False, headers=headers) as http,
    ):
        with view.live():
            try:
                await _until_ready(http, url)
                report = await hold(http, view.show)
            except CallFailed as failure:
                view.fail(str(failure))
                return 1
        await _record(http, f"{url}/calls/{report.call_id}")
        webhook = await _webhook(nearby.clinic, report.call_id)
        record = await _record(http, f"{url}/calls/{report.call_id}")
        recording = _FOLDER / f"{report.call_id}.wav"
        recording.write_bytes((await http.get(f"{url}/calls/{report.call_id}/recording")).content)
        timings = (await http.get(f"{sandbox.url}/control/calls/{report.call_id}")).json()["timings"]
    console, visits = report_console(), nearby.clinic.visits
    print_report(console, record, report, timings, recording)
    print_outcome(console, record, visits, webhook, f"{nearby.url}/calls")
    wrong = problems(record, visits, webhook)
    for problem in wrong:
        console.print(f"{problem} That can happen on a busy machine; the log says more.", style="yellow")
    return 1 if wrong else 0


async def _webhook(clinic: Clinic, call_id: str) -> ReceivedWebhook | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_ANALYSIS_SECONDS):
            return await clinic.webhook(EVENT, call_id)
    return None


def _speak(text: str, language: str, sample_rate: int) -> bytes:
    return synthesize(text, language, sample_rate).pcm


async def _record(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Wait until the call has ended, and return its record."""
    async with asyncio.timeout(_STOP_SECONDS):
        while True:
            record: dict[str, Any] = (await http.get(url)).json()
            if record["status"] == "ended":
                return record
            await asyncio.sleep(_POLL_SECONDS)


async def _until_ready(http: httpx.AsyncClient, url: str) -> None:
    """Raises CallFailed when the service is not ready in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while True:
                with suppress(httpx.TransportError):
                    if (await http.get(f"{url}/health/ready")).is_success:
                        return
                await asyncio.sleep(_POLL_SECONDS)
    raise CallFailed(f"the service was not ready within {_START_SECONDS:g} s; {_FOLDER / _LOG} says why")


@contextmanager
def _service(
    sandbox: SandboxAddresses, language: Language, port: int, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run the service as an operator would, pointed at the sandbox. Its log goes to a file. Yields its URL.

    The demo ignores settings in the environment and in ``.env``. It must not answer the callers of a LiveKit that they
    name, nor write into their database.
    """
    keys = dict.fromkeys(("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"), "sandbox")
    settings = {"PORT": str(port), "VA_HOST": "127.0.0.1", "VA_LANGUAGE": language, "DATA_DIR": "."}
    settings |= {**keys, **sandbox.settings(), "PROVIDERS": "live", "API_KEY": _API_KEY, **(more or {})}
    command = [sys.executable, "-m", "app.cli", "serve"]
    with (_FOLDER / _LOG).open("ab") as log:
        environment = {**environment_without_settings(), **settings}
        service = subprocess.Popen(  # noqa: S603 - runs this program itself
            command, cwd=_FOLDER, env=environment, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop_child(service, _STOP_SECONDS)
