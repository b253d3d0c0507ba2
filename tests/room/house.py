"""A real livekit-server, the service with the sandbox behind it, and telephones that call."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.cli.serve import uvicorn_config
from app.clients.livekit.api import LiveKitClient
from app.main import create_app
from app.settings import Settings
from app.times import STANDARD_TIMES, ServiceTimes
from app.wiring import Services
from sandbox.caller.caller import Caller
from sandbox.caller.report import CallReport
from sandbox.caller.score import Score
from sandbox.carrier.carrier import TELEPHONE, Carrier
from sandbox.carrier.sip_front import SipFront, running_front
from sandbox.child_server import free_port
from sandbox.running import RunningSandbox, running_sandbox
from sandbox.vendors.voice import synthesize
from tests.room.servers import KEY, SECRET, LiveKitServer
from tests.support.ready_server import ReadyServer
from tests.support.webhooks import signed

NUMBER, OUR_NUMBER = "+79990000001", "+74950000000"
GREETING = "Здравствуйте, слушаю вас внимательно."
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class House:
    """The running service and what stands around it."""

    url: str
    services: Services
    sandbox: RunningSandbox
    carrier: Carrier
    front: SipFront

    async def call(self, score: Score, number: str = NUMBER, *, headers: Mapping[str, str] | None = None) -> CallReport:
        """Play a score over the telephone."""
        async with Caller(
            self.url, speak, sandbox_url=self.sandbox.url, telephone=TELEPHONE, longest_call_seconds=120
        ) as caller:
            return await caller.call_through(score, lambda: self.carrier.dial(number, headers=headers))

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            return (await http.get(path)).raise_for_status()

    async def record(self, call_id: str) -> dict[str, Any]:
        """The record once the call has ended."""
        async with asyncio.timeout(60):
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
        """Return once LiveKit has ended all rooms of this house."""
        client = LiveKitClient(url=self.carrier.url, api_key=KEY, api_secret=SECRET)
        try:
            async with asyncio.timeout(60):
                while any(room.name.startswith(self.carrier.room_prefix) for room in await client.list_rooms()):
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await client.aclose()

    async def ended_calls(self, number: int) -> list[dict[str, Any]]:
        """The calls that have ended, once there are so many."""
        async with asyncio.timeout(60):
            while True:
                calls: list[dict[str, Any]] = (await self.get("/calls?status=ended")).json()["calls"]
                if len(calls) >= number:
                    return calls
                await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def house(
    server: LiveKitServer,
    folder: Path,
    *,
    hears_webhooks: bool = True,
    times: ServiceTimes = STANDARD_TIMES,
    **more: Any,
) -> AsyncIterator[House]:
    """The service, on the port that the webhooks go to unless it is to miss them."""
    prefix = f"call{secrets.token_hex(3)}"  # the server may still have webhooks of a house before
    carrier = Carrier(server.url, KEY, SECRET, OUR_NUMBER, prefix)
    async with running_sandbox() as sandbox, running_front(carrier, speak, sandbox_url=sandbox.url) as front:
        values = {
            "providers": "sandbox",
            "data_dir": folder,
            "port": server.webhook_port if hears_webhooks else free_port(),
            "greeting": GREETING,
            "room_prefix": prefix,
            "livekit_url": server.url,
            "livekit_api_url": front.url,
            "livekit_api_key": KEY,
            "livekit_api_secret": SECRET,
            **{name: url for name, url in sandbox.addresses().items() if name != "url"},
            **more,
        }
        settings = Settings(_env_file=None, **values)  # type: ignore[call-arg]  # its stub does not say so
        app = create_app(settings, times=times)
        uvicorn_server = ReadyServer(uvicorn_config(app, settings))
        serving = asyncio.get_running_loop().create_task(uvicorn_server.serve(), name="service")
        await uvicorn_server.ready.wait()
        try:
            yield House(f"http://127.0.0.1:{settings.port}", app.state.services, sandbox, carrier, front)
        finally:
            await app.state.services.dispatcher.drain(2)
            uvicorn_server.should_exit = True
            await asyncio.wait([serving])


def joined(event_id: str, room: str, room_sid: str, sip_call_id: str) -> bytes:
    """The webhook that announces a caller."""
    participant = {
        "identity": f"sip_{NUMBER}",
        "kind": "SIP",
        "attributes": {"sip.callID": sip_call_id, "sip.phoneNumber": NUMBER},
    }
    event = {"id": event_id, "event": "participant_joined", "room": {"name": room, "sid": room_sid}}
    return json.dumps({**event, "participant": participant}).encode()


def speak(text: str, language: str, sample_rate: int) -> bytes:
    return synthesize(text, language, sample_rate).pcm
