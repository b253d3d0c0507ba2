"""A service that may call telephones, and what it is asked to do with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from livekit import api

from app.clients.livekit.trunks import outbound_trunk_name
from tests.room.house import OUR_NUMBER, House, house
from tests.room.servers import KEY, SECRET, LiveKitServer

FRIEND = "+79990000077"
_ALLOWED: dict[str, Any] = {"dial_prefixes": "+7999", "sip_number": OUR_NUMBER, "dials_per_number_hour": 100}
_LOOK_SECONDS = 0.05


@asynccontextmanager
async def calling_house(server: LiveKitServer, folder: Path, **more: Any) -> AsyncIterator[House]:
    """A house with a trunk to call out by."""
    async with house(server, folder, **(_ALLOWED | more)) as home:
        async with api.LiveKitAPI(home.front.url, KEY, SECRET) as livekit:
            name = outbound_trunk_name(home.services.settings.room_prefix)
            trunk = api.SIPOutboundTrunkInfo(name=name, address="sip.example.org", numbers=[OUR_NUMBER])
            await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
        yield home


async def ask(home: House, path: str, **body: Any) -> dict[str, Any]:
    """What is asked for is accepted; gives the call."""
    async with httpx.AsyncClient(base_url=home.url, trust_env=False) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 202, answer.text
    call: dict[str, Any] = answer.json()
    return call


async def place(home: House, to: str = FRIEND, **body: Any) -> str:
    """The id of the call that is placed."""
    call_id: str = (await ask(home, "/calls", to=to, **body))["call_id"]
    return call_id


async def events_of(home: House, call_id: str, kind: str) -> list[dict[str, Any]]:
    """The data of the rows of a type so far."""
    rows = (await home.get(f"/calls/{call_id}/events")).json()["events"]
    return [row["data"] for row in rows if row["type"] == kind]


async def until_event(home: House, call_id: str, kind: str) -> dict[str, Any]:
    """The data of the first row of a type, once there is one."""
    async with asyncio.timeout(60):
        while not (found := await events_of(home, call_id, kind)):
            await asyncio.sleep(_LOOK_SECONDS)
    return found[0]
