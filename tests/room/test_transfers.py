"""Callers who are handed over to a human, over a real livekit-server: by their network, or in their room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.times import ServiceTimes
from sandbox.caller.media_client import AgentAudio
from sandbox.caller.score import Score, says, waits
from sandbox.carrier.sip_outcomes import Destination
from sandbox.carrier.telephone_line import TelephoneLine
from tests.room.calling_out import ask, calling_house, events_of, until_event
from tests.room.house import NUMBER, House
from tests.room.servers import LiveKitServer

pytestmark = pytest.mark.room

HUMAN = "+74951234567"
TARGETS = {"transfer_targets": f"sales={HUMAN}"}
TALKS = Score("sales", "ru", (waits(1.5), says("Здравствуйте, отдел продаж."), waits(3)))
LOUD = 500


LOOKS_OFTEN = ServiceTimes(room_look_seconds=0.2, room_left_open_seconds=0.5)
RINGS_BRIEFLY = replace(LOOKS_OFTEN, transfer_ring_seconds=2)


@asynccontextmanager
async def asked_for_sales(home: House, number: str = NUMBER, to: str = "sales") -> AsyncIterator[TelephoneLine]:
    """A caller who has been greeted, and whom an operator wants to be transferred."""
    async with home.carrier.dial(number) as line:
        await until_event(home, line.call_id, "agent.finished")
        await ask(home, f"/calls/{line.call_id}/transfer", to=to)
        yield line


async def loudness(line: TelephoneLine) -> list[float]:
    """Of each frame that comes until the call is over."""
    return [
        float(np.abs(message.samples.astype(np.int32)).max())
        async for message in line.messages()
        if isinstance(message, AgentAudio)
    ]


@pytest.mark.parametrize("accepted", ["accepted", "accepted_untold"])
async def test_a_network_that_can_takes_the_caller_along(server: LiveKitServer, tmp_path: Path, accepted: Any) -> None:
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, **TARGETS) as home:
        home.front.directory.numbers[HUMAN] = Destination(after=0.3, transfer=accepted)
        async with asked_for_sales(home) as line:
            record = await home.record(line.call_id)
            await home.until_no_room_is_open()
            how = await events_of(home, line.call_id, "transfer.completed")
        calls = (await home.get("/calls")).json()["calls"]
    assert (record["end_reason"], record["fault"]) == ("transferred", "none")
    assert how == [{"how": "refer"}]
    assert home.front.transfers == [f"tel:{HUMAN}"]
    assert home.front.calls == []
    assert len(calls) == 1


async def test_a_human_who_answers_talks_to_the_caller_in_their_room_and_the_agent_leaves(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, **TARGETS) as home:
        home.front.directory.numbers[HUMAN] = Destination(after=0.3, transfer="refused", score=TALKS)
        async with asked_for_sales(home) as line:
            record = await home.record(line.call_id)
            how = await events_of(home, line.call_id, "transfer.completed")
            heard = await loudness(line)  # the human hangs up, and the room ends for the caller, too
            await home.until_no_room_is_open()
        calls = (await home.get("/calls")).json()["calls"]
    [human] = home.front.calls
    assert (record["end_reason"], record["fault"]) == ("transferred", "none")
    assert how == [{"how": "dialled"}]
    assert (human.dial.attributes["va.leg"], human.dial.number) == ("transfer", HUMAN)
    assert human.report
    assert (human.report.completed, human.report.ended_by) == (True, "caller")
    assert max(heard) > LOUD
    assert len(heard) / 50 > 1.5
    assert len(calls) == 1


ABSENT: dict[str, tuple[Destination, str, bool]] = {
    "rings_out_at_his_network": (Destination("no_answer", transfer="accepted"), "no_answer", False),
    "rings_out": (Destination("no_answer", after=0.1, transfer="refused"), "no_answer", True),
    "busy": (Destination("busy", after=0.2, transfer="refused"), "busy", True),
    "declined": (Destination("declined", after=0.2, transfer="declined"), "refused", True),
    "trunk_failure": (Destination("trunk_failure", after=0.2, transfer="failed"), "unavailable", True),
}
"""Humans who do not come, why not, and whether we called them."""


async def test_a_caller_whose_human_does_not_come_stays_with_the_agent(server: LiveKitServer, tmp_path: Path) -> None:
    humans = {name: f"+749512345{at:02}" for at, name in enumerate(ABSENT)}
    targets = {"transfer_targets": ",".join(f"{name}={number}" for name, number in humans.items())}

    async def call(home: House, name: str, number: str) -> None:
        human, reason, dialled = ABSENT[name]
        home.front.directory.numbers[humans[name]] = human
        async with asked_for_sales(home, number, to=name) as line:
            assert (await until_event(home, line.call_id, "transfer.failed"))["reason"] == reason, name
            async with asyncio.timeout(60):
                while len(await events_of(home, line.call_id, "agent.finished")) < 3:
                    await asyncio.sleep(0.1)
            assert not line.is_over, name
        async with asyncio.timeout(60):
            while (record := (await home.get(f"/calls/{line.call_id}")).json())["status"] != "ended":
                await asyncio.sleep(0.05)
        assert record["end_reason"] == "caller_hangup", name
        assert record["turns"][-1]["text"].startswith("К сожалению, соединить не удалось."), name
        states = [called.state for called in home.front.calls if called.dial.number == humans[name]]
        assert states == ["not_answered"] * dialled, name

    async with calling_house(server, tmp_path, times=RINGS_BRIEFLY, **targets) as home:
        async with asyncio.TaskGroup() as calls:
            for at, name in enumerate(ABSENT):
                calls.create_task(call(home, name, f"+799900010{at:02}"), name=name)
        await home.until_no_room_is_open()


async def test_a_caller_who_hangs_up_meanwhile_stops_the_humans_telephone(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, **TARGETS) as home:
        home.front.directory.numbers[HUMAN] = Destination("no_answer", transfer="refused")
        async with asked_for_sales(home) as line:
            async with asyncio.timeout(60):
                while not home.front.calls:
                    await asyncio.sleep(0.05)
        record = await home.record(line.call_id)
        await home.until_no_room_is_open()
        async with asyncio.timeout(60):
            await home.front.calls[0].settled.wait()
    assert record["end_reason"] == "caller_hangup"
    assert home.front.calls[0].state == "not_answered"


async def test_a_telephone_that_we_called_can_be_transferred_too(server: LiveKitServer, tmp_path: Path) -> None:
    called = "+79990000078"
    async with calling_house(server, tmp_path, times=LOOKS_OFTEN, **TARGETS) as home:
        home.front.directory.numbers[HUMAN] = Destination(after=0.1)
        call_id = (await ask(home, "/calls", to=called))["call_id"]
        await until_event(home, call_id, "agent.finished")
        await ask(home, f"/calls/{call_id}/transfer", to=HUMAN)
        record = await home.record(call_id)
        await home.until_no_room_is_open()
    assert record["end_reason"] == "transferred"
