"""Telephones that are called: through a real livekit-server, with a stand-in for LiveKit SIP that has every outcome."""

import asyncio
import os
import secrets
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sandbox.caller.score import Score, says, waits_for_agent, waits_for_end
from sandbox.carrier.carrier import Carrier
from sandbox.carrier.sip_front import running_front
from sandbox.carrier.sip_outcomes import Destination
from tests.room.calling_out import FRIEND, ask, calling_house, events_of, place
from tests.room.house import GREETING, OUR_NUMBER, speak
from tests.room.rig import rig
from tests.room.servers import KEY, SECRET, LiveKitServer

pytestmark = pytest.mark.room

TALK = Score(
    "talk",
    "ru",
    (waits_for_agent(), says("Да, это я."), waits_for_end()),
    ({"text": "Ваш заказ готов. Всего доброго.", "tool_calls": [{"name": "end_call", "arguments": {}}]},),
    8,
)


async def test_a_called_person_who_answers_is_greeted_and_talked_to(server: LiveKitServer, tmp_path: Path) -> None:
    async with calling_house(server, tmp_path) as home:
        home.front.directory.numbers[FRIEND] = Destination(after=0.5, score=TALK)
        placed = await ask(home, "/calls", to=FRIEND, metadata={"order": 17})
        record = await home.record(placed["call_id"])
        rows = (await home.get(f"/calls/{placed['call_id']}/events")).json()["events"]
        await home.until_no_room_is_open()
    [called] = home.front.calls
    assert (placed["status"], placed["direction"], placed["answered_at"]) == ("ringing", "outbound", None)
    assert (placed["caller_number"], placed["called_number"]) == (OUR_NUMBER, FRIEND)
    assert placed["livekit_room"] == f"{home.services.settings.room_prefix}_out_{placed['call_id']}"
    assert (record["end_reason"], record["fault"], record["metadata"]) == ("agent_hangup", "none", {"order": 17})
    assert record["provider_ids"]["sip_call_id"] == called.call_id
    assert record["provider_ids"]["room_sid"].startswith("RM_")
    assert next(turn["text"] for turn in record["turns"] if turn["role"] == "assistant") == GREETING
    assert record["turns"][-1]["text"] == TALK.replies[0]["text"]
    assert called.dial.attributes["va.leg"] == "outbound"
    answered = next(row["t"] for row in rows if row["type"] == "call.answered")
    greeted = next(row["t"] for row in rows if row["type"] == "agent.reply_started")
    assert 0.5 < answered < greeted < answered + 1.0


REFUSALS: dict[Any, tuple[str, str, str]] = {
    "busy": ("busy", "none", "sip 486"),
    "declined": ("declined", "none", "sip 603"),
    "unknown_number": ("invalid_number", "none", "sip 404"),
    "trunk_failure": ("carrier_error", "carrier", "sip 503"),
}
"""End reason, fault and detail, by what the network does."""


async def test_a_call_that_the_network_refuses_says_why(server: LiveKitServer, tmp_path: Path) -> None:
    numbers = {outcome: f"+799900020{at:02}" for at, outcome in enumerate(REFUSALS)}
    async with calling_house(server, tmp_path) as home:
        for outcome, number in numbers.items():
            home.front.directory.numbers[number] = Destination(outcome, after=0.2)
        placed = {outcome: await place(home, number) for outcome, number in numbers.items()}
        records = {outcome: await home.record(call_id) for outcome, call_id in placed.items()}
        left = {outcome: await events_of(home, call_id, "caller.left") for outcome, call_id in placed.items()}
        await home.until_no_room_is_open()
    for outcome, (reason, fault, detail) in REFUSALS.items():
        record = records[outcome]
        assert (record["end_reason"], record["fault"], record["answered_at"]) == (reason, fault, None)
        assert record["turns"] == []
        assert left[outcome] == [{"reason": reason, "detail": detail}]


async def test_a_telephone_rings_for_the_set_time_and_no_longer(server: LiveKitServer, tmp_path: Path) -> None:
    async with calling_house(server, tmp_path, ring_seconds=5) as home:
        home.front.directory.numbers[FRIEND] = Destination("no_answer")
        record = await home.record(await place(home))
        await home.until_no_room_is_open()
    assert (record["end_reason"], record["fault"], record["answered_at"]) == ("no_answer", "none", None)


async def test_a_call_is_cancelled_while_it_rings(server: LiveKitServer, tmp_path: Path) -> None:
    async with calling_house(server, tmp_path) as home:
        home.front.directory.numbers[FRIEND] = Destination("no_answer")
        call_id = await place(home)
        async with asyncio.timeout(60):
            while not home.front.calls:
                await asyncio.sleep(0.05)
        await ask(home, f"/calls/{call_id}/hangup")
        record = await home.record(call_id)
        await home.until_no_room_is_open()
        async with asyncio.timeout(60):
            await home.front.calls[0].settled.wait()
    assert (record["end_reason"], record["answered_at"]) == ("operator_hangup", None)
    assert home.front.calls[0].state == "not_answered"


async def test_a_called_person_who_hangs_up_is_gone(server: LiveKitServer, tmp_path: Path) -> None:
    async with calling_house(server, tmp_path) as home:
        home.front.directory.numbers[FRIEND] = Destination(score=Score("brief", "ru", (waits_for_agent(),)))
        record = await home.record(await place(home))
        await home.until_no_room_is_open()
    assert (record["end_reason"], record["fault"]) == ("caller_hangup", "none")
    assert record["answered_at"]


async def test_without_a_livekit_sip_the_call_says_so_and_callers_are_answered(
    server: LiveKitServer, tmp_path: Path
) -> None:
    async with calling_house(server, tmp_path, livekit_api_url=server.url) as home:  # nothing stands in for LiveKit SIP
        call_id = await place(home)
        record = await home.record(call_id)
        left = await events_of(home, call_id, "caller.left")
        async with home.carrier.dial("+79990000008") as line:
            answered = line.call_id
        await home.record(answered)
        await home.until_no_room_is_open()
    assert (record["end_reason"], record["fault"]) == ("carrier_error", "carrier")
    assert left == [{"reason": "carrier_error", "detail": "livekit unavailable"}]


async def test_the_language_of_the_call_may_be_given(server: LiveKitServer, tmp_path: Path) -> None:
    async with calling_house(server, tmp_path) as home:
        home.front.directory.numbers[FRIEND] = Destination(score=Score("brief", "en", (waits_for_agent(),)))
        record = await home.record(await place(home, metadata={"language_hint": "en"}))
    assert record["language"] == "en"
    assert record["turns"][0]["text"].isascii()


async def test_of_two_processes_one_places_the_call_and_with_its_death_the_ringing_ends(
    server: LiveKitServer, tmp_path: Path
) -> None:
    carrier = Carrier(server.url, KEY, SECRET, OUR_NUMBER)
    numbers = [f"+7999000008{digit}" for digit in range(6)]
    async with running_front(carrier, speak) as front, AsyncExitStack() as stack:
        front.directory.numbers.update(dict.fromkeys(numbers, Destination("no_answer")))
        prefix = f"two{secrets.token_hex(3)}"
        running = rig(
            tmp_path, server, WORKERS="2", DIAL_PREFIXES="+7999", LIVEKIT_API_URL=front.url, ROOM_PREFIX=prefix
        )
        service = await asyncio.to_thread(running.__enter__)  # whose setup and whose start ask the front
        stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
        async with service.client() as http:
            placed = [(await http.post("/calls", json={"to": number})).json()["call_id"] for number in numbers]
        async with asyncio.timeout(60):
            while len(front.calls) < len(numbers):
                await asyncio.sleep(0.05)
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        records = [await service.record(call_id) for call_id in placed]
        async with asyncio.timeout(60):
            for call in front.calls:
                await call.settled.wait()
    assert sorted(call.dial.number for call in front.calls) == numbers
    assert {record["end_reason"] for record in records} == {"crashed"}
    assert {call.state for call in front.calls} == {"not_answered"}
