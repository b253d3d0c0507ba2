"""The caller hangs up: whatever the agent is doing, the call has a whole record at once, and no room is left open."""

import asyncio
from typing import Any

import pytest

from sandbox.caller.score import Score, hangs_up, says, waits, waits_for_agent
from sandbox.carrier.telephone_line import TelephoneLine
from tests.room.house import GREETING
from tests.room.rig import Rig

pytestmark = pytest.mark.room

END_CALL: list[dict[str, Any]] = [{"name": "end_call", "arguments": {}}]
GOODBYE = "Благодарю вас за звонок, всего вам самого доброго, хорошего вечера, приходите к нам ещё, до свидания."

LISTENING = Score("listening", "ru", (waits_for_agent(), hangs_up()), (), 8)
PROCESSING = Score(
    "processing",
    "ru",
    (waits_for_agent(), says("Когда вы открыты?"), waits(30), hangs_up()),
    ({"text": "В девять.", "delay": 9},),
    8,
)
SPEAKING = Score("speaking", "ru", (waits(1.3), hangs_up()))
LEAVING = Score(
    "leaving",
    "ru",
    (waits_for_agent(), says("Спасибо, до свидания."), waits(3), hangs_up()),
    ({"text": GOODBYE, "tool_calls": END_CALL},),
    8,
)
WHO_IS_PROCESSED = "+79990001002"
CALLS = {"+79990001001": LISTENING, WHO_IS_PROCESSED: PROCESSING, "+79990001003": SPEAKING, "+79990001004": LEAVING}
RINGING = "+79990001005"


async def test_a_caller_hangs_up_in_every_state(system: Rig) -> None:
    async with asyncio.TaskGroup() as calls:
        for number, score in CALLS.items():
            calls.create_task(system.call(score, number), name=number)
        calls.create_task(_leaves_when_it_is_processed(system, WHO_IS_PROCESSED), name="leaves")
        calls.create_task(_rings_and_leaves(system), name=RINGING)
    records = {number: await system.record_of(number) for number in (*CALLS, RINGING)}
    before = {number: await _state_at_the_end(system, record) for number, record in records.items()}

    assert {(record["end_reason"], record["fault"]) for record in records.values()} == {("caller_hangup", "none")}
    assert list(before.values()) == ["listening", "processing", "speaking", "speaking", "listening"]
    greetings = [record["turns"][0]["text"] for record in records.values() if record["turns"]]
    assert greetings[:2] == [GREETING, GREETING]
    assert GREETING.startswith(greetings[2])
    assert 0 < len(greetings[2]) < len(GREETING)
    last = records["+79990001004"]["turns"][-1]
    assert GOODBYE.startswith(last["text"])
    assert 0 < len(last["text"]) < len(GOODBYE)
    assert (records[RINGING]["answered_at"], records[RINGING]["turns"]) == (None, [])
    async with asyncio.timeout(60):
        while await system.rooms():
            await asyncio.sleep(0.05)


async def _rings_and_leaves(system: Rig) -> None:
    async with system.carrier.ring(RINGING) as line:
        await line.rung()


async def _leaves_when_it_is_processed(system: Rig, number: str) -> None:
    """As soon as the journal says that the turn is being answered: how late the words come depends on the machine."""
    while (line := _line_of(system, number)) is None or not await _is_processed(system, line.call_id):
        await asyncio.sleep(0.02)
    await line.leave()


def _line_of(system: Rig, number: str) -> TelephoneLine | None:
    """Once the agent is in its room."""
    return next((line for line in system.carrier.lines.values() if number in line.identity and line.call_id), None)


async def _is_processed(system: Rig, call_id: str) -> bool:
    return any(change["after"] == "processing" for change in await _changes(system, call_id))


async def _changes(system: Rig, call_id: str) -> list[dict[str, str]]:
    """Of the call's state."""
    return [row["data"] for row in await system.journal(call_id) if row["type"] == "state.changed"]


async def _state_at_the_end(system: Rig, record: dict[str, Any]) -> str:
    changes = await _changes(system, record["call_id"])
    assert changes[-1]["after"] == "ended"
    return changes[-1]["before"]
