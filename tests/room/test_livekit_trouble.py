"""LiveKit's API fails in the middle of calls, over a real server: the line closes, and all is cleaned up later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from livekit import api

from app.times import ServiceTimes
from sandbox.carrier.sip_outcomes import Destination
from sandbox.carrier.telephone_line import TelephoneLine
from tests.room.calling_out import ask, calling_house, place, until_event
from tests.room.house import NUMBER, House
from tests.room.servers import KEY, SECRET, LiveKitServer
from tests.support.sampling import WHOLE, chance

pytestmark = pytest.mark.room

OTHER_NUMBER = "+79990000002"
HUMAN = "+74951234567"
OTHER_HUMAN = "+74951234568"
TARGETS = {"transfer_targets": f"sales={HUMAN},support={OTHER_HUMAN}"}
CLOSES_SECONDS = 0.5
ALWAYS = ("html", "hang")
OTHERS = ("bad_gateway", "server_error", "no_protobuf", "half_message", "drip")
"""Of these one is drawn, or all are tried. tests/clients/livekit asks for everything under each of them."""
LOOKS_OFTEN = ServiceTimes(room_look_seconds=0.2)


async def order(home: House, kind: str, **more: Any) -> None:
    """As an operator of the sandbox does; it strikes until it is cleared."""
    async with httpx.AsyncClient(base_url=home.front.url, trust_env=False) as http:
        fault = {"vendor": "livekit", "kind": kind, "times": None, **more}
        (await http.post("/control/faults", json=fault)).raise_for_status()


async def clear(home: House) -> None:
    async with httpx.AsyncClient(base_url=home.front.url, trust_env=False) as http:
        (await http.delete("/control/faults")).raise_for_status()


async def until_livekit_is(home: House, status: str) -> None:
    async with asyncio.timeout(60):
        while True:
            components = (await home.get("/health")).json()["components"]
            if {part["name"]: part["status"] for part in components}.get("livekit") == status:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def greeted(home: House, number: str = NUMBER) -> AsyncIterator[TelephoneLine]:
    async with home.carrier.dial(number) as line:
        await until_event(home, line.call_id, "agent.finished")
        yield line


async def rows_of(home: House, call_id: str) -> dict[str, float]:
    """When the first row of each type was written, in call seconds."""
    rows = (await home.get(f"/calls/{call_id}/events")).json()["events"]
    return {row["type"]: row["t"] for row in reversed(rows)}


async def agents_in(home: House, room: str) -> list[str]:
    """As the livekit-server itself has it."""
    async with api.LiveKitAPI(home.carrier.url, KEY, SECRET, failover=False) as livekit:
        listed = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    return [each.identity for each in listed.participants if each.identity.startswith("agent-")]


@pytest.mark.parametrize("kind", [*ALWAYS, *(OTHERS if WHOLE else ["drawn"])])
async def test_the_call_does_not_notice_and_its_line_closes_whatever_the_api_does(
    server: LiveKitServer, tmp_path: Path, kind: str
) -> None:
    if kind == "drawn":
        kind = chance().choice(OTHERS)
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN) as home:
        async with greeted(home) as line:
            await order(home, kind)
            await until_livekit_is(home, "degraded")
            assert (await home.get("/health/ready")).status_code == 200
            assert not line.is_over
            call = (await home.get(f"/calls/{line.call_id}")).json()
            await ask(home, f"/calls/{line.call_id}/hangup")
            record = await home.record(line.call_id)
            at = await rows_of(home, line.call_id)
            assert at["call.ended"] - at["operator.hangup_requested"] < CLOSES_SECONDS
            assert (record["end_reason"], record["fault"]) == ("operator_hangup", "none")
            assert await agents_in(home, call["livekit_room"]) == []
            await clear(home)
            assert await line.over_within(60)
        await home.until_no_room_is_open()
        await until_livekit_is(home, "ok")


@pytest.mark.parametrize("route", ["RemoveParticipant", "DeleteRoom"])
async def test_a_call_ends_while_the_human_rings_and_cannot_be_called_off(
    server: LiveKitServer, tmp_path: Path, route: str
) -> None:
    async def call(home: House, number: str, target: str, human_number: str) -> None:
        is_left = number == NUMBER
        async with greeted(home, number) as line:
            await ask(home, f"/calls/{line.call_id}/transfer", to=target)
            await until_event(home, line.call_id, "transfer.dialled")
            async with asyncio.timeout(60):
                while not (humans := [each for each in home.front.calls if each.dial.number == human_number]):
                    await asyncio.sleep(0.05)
            if is_left:
                await line.leave()
            else:
                await ask(home, f"/calls/{line.call_id}/hangup")
            await until_event(home, line.call_id, "call.ended")
            at = await rows_of(home, line.call_id)
            asked = at["caller.left" if is_left else "operator.hangup_requested"]
            assert at["call.ended"] - asked < CLOSES_SECONDS
            async with asyncio.timeout(60):
                await humans[0].settled.wait()  # the room's end, or the removal: one of them gets through
        record = (await home.get(f"/calls/{line.call_id}")).json()
        assert humans[0].state == "not_answered"
        assert record["end_reason"] == ("caller_hangup" if is_left else "operator_hangup")

    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, **TARGETS) as home:
        for number in (HUMAN, OTHER_HUMAN):
            home.front.directory.numbers[number] = Destination("no_answer", transfer="refused")
        await order(home, "hang", route=route)
        async with asyncio.TaskGroup() as calls:
            calls.create_task(call(home, NUMBER, "sales", HUMAN), name="the caller hangs up")
            calls.create_task(call(home, OTHER_NUMBER, "support", OTHER_HUMAN), name="an operator hangs up")
        await clear(home)
        await home.until_no_room_is_open()


async def test_a_dial_whose_answer_gets_lost_is_called_off(server: LiveKitServer, tmp_path: Path) -> None:
    called = "+79990000079"
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN) as home:
        home.front.directory.numbers[called] = Destination("no_answer")
        await order(home, "lost_answer", route="CreateSIPParticipant")
        call_id = await place(home, called)
        async with asyncio.timeout(60):
            while not home.front.calls:
                await asyncio.sleep(0.05)
        await ask(home, f"/calls/{call_id}/hangup")
        record = await home.record(call_id)
        at = await rows_of(home, call_id)
        assert at["call.ended"] - at["operator.hangup_requested"] < CLOSES_SECONDS
        async with asyncio.timeout(60):
            await home.front.calls[0].settled.wait()
        await home.until_no_room_is_open()
    assert (record["end_reason"], home.front.calls[0].state) == ("operator_hangup", "not_answered")


@pytest.mark.parametrize("kind", ["hang", "html"])
async def test_a_caller_whose_webhook_was_lost_is_answered_when_the_api_is_back(
    server: LiveKitServer, tmp_path: Path, kind: str
) -> None:
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, hears_webhooks=False) as home:
        await order(home, kind, route="ListRooms")
        await until_livekit_is(home, "degraded")
        async with home.carrier.ring(NUMBER) as line:
            await clear(home)
            await line.answered()
            await until_event(home, line.call_id, "agent.finished")
        await until_livekit_is(home, "ok")
