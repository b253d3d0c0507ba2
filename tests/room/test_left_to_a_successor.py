"""What a process could not clean up at LiveKit, because its API hung: its successor does it, on the same data."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from livekit import api

from sandbox.carrier.carrier import Carrier
from sandbox.carrier.sip_front import SipFront, running_front
from sandbox.carrier.telephone_line import TelephoneLine
from sandbox.vendors.faults import Fault
from tests.end_to_end.processes import ServiceProcess, sandbox_process, serving
from tests.room.house import NUMBER, OUR_NUMBER, speak
from tests.room.servers import KEY, SECRET, LiveKitServer, livekit_server
from tests.support.slowness import slowness

pytestmark = pytest.mark.room

PREFIX = "heir"
STOPS_SECONDS = 25.0
"""The goodbye, five seconds for the last rows, ten for what runs beside, and the end of the process."""


class Place:
    """LiveKit with telephones, and one service after another on the same data."""

    def __init__(
        self, folder: Path, server: LiveKitServer, carrier: Carrier, front: SipFront, sandbox: dict[str, str]
    ) -> None:
        self.carrier, self.front = carrier, front
        self._folder, self._server, self._sandbox = folder, server, sandbox

    @asynccontextmanager
    async def service(self, log_name: str) -> AsyncIterator[ServiceProcess]:
        variables = {
            "DRAIN_SECONDS": "0.5",
            "IDLE_PROMPT_SECONDS": "100",
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "LIVEKIT_API_URL": self.front.url,
            "LIVEKIT_URL": self._server.url,
            "PORT": str(self._server.webhook_port),
            "ROOM_PREFIX": PREFIX,
        }
        async with serving(self._folder, self._sandbox, log_name=log_name, **variables) as service:
            yield service

    @asynccontextmanager
    async def greeted(self, service: ServiceProcess) -> AsyncIterator[TelephoneLine]:
        async with self.carrier.dial(NUMBER) as line:
            await until_row(service, line.call_id, "agent.finished")
            yield line

    def hangs(self, *routes: str) -> None:
        for route in routes or (None,):
            self.front.faults.add(Fault("livekit", "hang", times=None, route=route))

    async def until_no_room_is_open(self) -> None:
        async with api.LiveKitAPI(self._server.url, KEY, SECRET, failover=False) as livekit, asyncio.timeout(60):
            while any(
                room.name.startswith(PREFIX) for room in (await livekit.room.list_rooms(api.ListRoomsRequest())).rooms
            ):
                await asyncio.sleep(0.1)


async def until_row(service: ServiceProcess, call_id: str, kind: str) -> None:
    async with service.client() as http, asyncio.timeout(60):
        while not any(row["type"] == kind for row in await rows_of(http, call_id)):
            await asyncio.sleep(0.05)


async def rows_of(http: httpx.AsyncClient, call_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await http.get(f"/calls/{call_id}/events")).raise_for_status().json()["events"]
    return rows


async def ask(service: ServiceProcess, path: str, **body: Any) -> None:
    async with service.client() as http:
        (await http.post(path, json=body)).raise_for_status()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    """Of its own: rooms stay open in it for a while."""
    with livekit_server(tmp_path_factory.mktemp("livekit")) as running:
        yield running


@asynccontextmanager
async def place(folder: Path, server: LiveKitServer) -> AsyncIterator[Place]:
    carrier = Carrier(server.url, KEY, SECRET, OUR_NUMBER, PREFIX)
    async with sandbox_process() as sandbox, running_front(carrier, speak, sandbox_url=sandbox["url"]) as front:
        yield Place(folder, server, carrier, front, sandbox)


async def test_a_room_that_could_not_be_ended_is_ended_by_the_next_process(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with place(tmp_path, server) as here, here.service("first.log") as first, here.greeted(first) as line:
        here.hangs("DeleteRoom", "RemoveParticipant")
        await ask(first, f"/calls/{line.call_id}/hangup")
        await until_row(first, line.call_id, "call.ended")
        await first.kill()
        assert not line.is_over
        here.front.faults.clear()
        async with here.service("second.log") as second:
            assert await line.over_within(60)
            await here.until_no_room_is_open()
            assert await second.terminate() == 0


async def test_a_service_whose_livekit_hangs_stops_at_a_signal(server: LiveKitServer, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with place(tmp_path, server) as here, here.service("first.log") as first, here.greeted(first) as line:
        here.hangs()
        began = loop.time()
        assert await first.terminate() == 0
        assert loop.time() - began < STOPS_SECONDS * slowness()
        here.front.faults.clear()
        async with here.service("second.log") as second:
            assert await line.over_within(60)
            await here.until_no_room_is_open()
            async with second.client() as http:
                record = (await http.get(f"/calls/{line.call_id}")).json()
            assert (record["status"], record["end_reason"]) == ("ended", "shutdown")
            assert await second.terminate() == 0
