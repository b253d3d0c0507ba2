"""A real livekit-server, the service with the sandbox behind it, and telephones that call."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from app.cli.serve import uvicorn_config
from app.clients.livekit_api import LiveKitClient
from app.main import create_app
from app.settings import Settings
from app.wiring import Services
from sandbox.call_report import CallReport
from sandbox.caller import Caller
from sandbox.carrier import TELEPHONE, Carrier
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.score import Score
from sandbox.voice import synthesize
from tests.support.webhooks import signed

KEY, SECRET = "devkey", "a-secret-of-more-than-32-characters-for-tests"
NUMBER, OUR_NUMBER = "+79990000001", "+74950000000"
GREETING = "Здравствуйте, слушаю вас внимательно."
_START_LOOKS, _LOOK_SECONDS = 200, 0.05
_CONFIG = """
port: {port}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}, use_external_ip: false, node_ip: 127.0.0.1,
       enable_loopback_candidate: true}}
keys: {{{key}: {secret}}}
webhook: {{api_key: {key}, urls: ["http://127.0.0.1:{webhook_port}/webhooks/livekit"]}}
logging: {{level: error}}
"""


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """Where it listens, and where it sends its webhooks."""

    port: int
    webhook_port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextmanager
def livekit_server(folder: Path) -> Iterator[LiveKitServer]:
    """Runs until the context is left; it needs no Redis for rooms."""
    ports = [_free_port() for _ in range(4)]
    server = LiveKitServer(ports[0], ports[3])
    names = ("port", "tcp_port", "udp_port", "webhook_port")
    config = folder / "livekit.yaml"
    config.write_text(_CONFIG.format(**dict(zip(names, ports, strict=True)), key=KEY, secret=SECRET))
    with (folder / "livekit.log").open("wb") as log:
        process = subprocess.Popen([_binary(), "--config", str(config)], stdout=log, stderr=log)
        try:
            _wait_until_it_listens(server.port, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(slots=True)
class House:
    """The running service and what stands around it."""

    url: str
    services: Services
    sandbox: RunningSandbox
    carrier: Carrier

    async def call(self, score: Score, number: str = NUMBER) -> CallReport:
        """Play a score over the telephone."""
        async with Caller(
            self.url, speak, sandbox_url=self.sandbox.url, telephone=TELEPHONE, longest_call_seconds=40
        ) as caller:
            return await caller.call_through(score, lambda: self.carrier.dial(number))

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            return (await http.get(path)).raise_for_status()

    async def record(self, call_id: str) -> dict[str, Any]:
        """The record once the call has ended."""
        async with asyncio.timeout(10):
            while True:
                record: dict[str, Any] = (await self.get(f"/calls/{call_id}")).json()
                if record["status"] == "ended" and not self.services.dispatcher.live_calls:
                    return record
                await asyncio.sleep(_LOOK_SECONDS)

    async def webhook(self, body: bytes) -> int:
        """The status with which a webhook signed by LiveKit's key is answered."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            headers = {"Authorization": signed(body, SECRET)}
            return (await http.post("/webhooks/livekit", content=body, headers=headers)).status_code

    async def until_no_room_is_open(self) -> None:
        """Return once LiveKit has ended them all."""
        client = LiveKitClient(url=self.carrier.url, api_key=KEY, api_secret=SECRET)
        try:
            async with asyncio.timeout(5):
                while await client.list_rooms():
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await client.aclose()

    async def ended_calls(self, number: int) -> list[dict[str, Any]]:
        """The calls that have ended, once there are so many."""
        async with asyncio.timeout(15):
            while True:
                calls: list[dict[str, Any]] = (await self.get("/calls?status=ended")).json()["calls"]
                if len(calls) >= number:
                    return calls
                await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def house(
    server: LiveKitServer, folder: Path, *, hears_webhooks: bool = True, **more: Any
) -> AsyncIterator[House]:
    """The service, on the port that the webhooks go to unless it is to miss them."""
    async with running_sandbox() as sandbox:
        values = {
            "providers": "sandbox",
            "data_dir": folder,
            "port": server.webhook_port if hears_webhooks else _free_port(),
            "greeting": GREETING,
            "livekit_url": server.url,
            "livekit_api_key": KEY,
            "livekit_api_secret": SECRET,
            **{name: url for name, url in sandbox.addresses().items() if name != "url"},
            **more,
        }
        settings = Settings(_env_file=None, **values)  # type: ignore[call-arg]  # its stub does not say so
        app = create_app(settings)
        uvicorn_server = _Server(uvicorn_config(app, settings))
        serving = asyncio.get_running_loop().create_task(uvicorn_server.serve(), name="service")
        await uvicorn_server.ready.wait()
        try:
            yield House(
                f"http://127.0.0.1:{settings.port}",
                app.state.services,
                sandbox,
                Carrier(server.url, KEY, SECRET, OUR_NUMBER),
            )
        finally:
            await app.state.services.dispatcher.drain(2)
            uvicorn_server.should_exit = True
            await asyncio.wait([serving])


def joined(event_id: str, room: str, room_sid: str, sip_call_id: str) -> bytes:
    """The webhook that tells of a caller."""
    participant = {
        "identity": f"sip_{NUMBER}",
        "kind": "SIP",
        "attributes": {"sip.callID": sip_call_id, "sip.phoneNumber": NUMBER},
    }
    told = {"id": event_id, "event": "participant_joined", "room": {"name": room, "sid": room_sid}}
    return json.dumps({**told, "participant": participant}).encode()


def speak(text: str, language: str, sample_rate: int) -> bytes:
    return synthesize(text, language, sample_rate).pcm


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _binary() -> str:
    """The server's own name for its program is ``livekit-server``; ``go install`` calls it ``server``."""
    told = os.environ.get("LIVEKIT_SERVER")
    installed = Path.home() / "go" / "bin" / "server"
    found = told or shutil.which("livekit-server") or (str(installed) if installed.is_file() else None)
    if found is None:
        raise RuntimeError(
            "no livekit-server here: go install github.com/livekit/livekit-server/cmd/server@v1.13.5, "
            "or LIVEKIT_SERVER=<its path>"
        )
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(_START_LOOKS):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)  # a server of another language has nothing to wait on but its port
        else:
            return
    raise RuntimeError("the livekit-server did not start")
