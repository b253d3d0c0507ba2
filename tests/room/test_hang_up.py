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

LISTENING = Score("listening", "ru", (waits(30), hangs_up()))
PROCESSING = Score(
    "processing",
    "ru",
    (waits_for_agent(), says("Когда вы открыты?"), waits(30), hangs_up()),
    ({"text": "В девять.", "delay": 9},),
    8,
)
STORY = "Мы принимаем каждый день с девяти утра и до восьми вечера, а в субботу с десяти и только до обеда, без записи."
SPEAKING = Score(
    "speaking",
    "ru",
    (waits_for_agent(), says("Когда вы открыты?"), waits(30), hangs_up()),
    ({"text": STORY},),
    8,
)
LEAVING = Score(
    "leaving",
    "ru",
    (waits_for_agent(), says("Спасибо, до свидания."), waits(30), hangs_up()),
    ({"text": GOODBYE, "tool_calls": END_CALL},),
    8,
)
CALLS = {"+79990001001": LISTENING, "+79990001002": PROCESSING, "+79990001003": SPEAKING, "+79990001004": LEAVING}
LEAVES = {
    "+79990001001": ("agent.finished", 1, 0.5),
    "+79990001002": ("turn.taken", 1, 0.5),
    "+79990001003": ("agent.reply_started", 2, 1.0),
    "+79990001004": ("agent.reply_started", 2, 2.0),
}
"""Each leaves so many seconds after its journal has so many rows: how late the words come depends on the machine."""
RINGING = "+79990001005"


async def test_a_caller_hangs_up_in_every_state(system: Rig) -> None:
    async with asyncio.TaskGroup() as calls:
        for number, score in CALLS.items():
            calls.create_task(system.call(score, number), name=number)
        for number in CALLS:
            calls.create_task(_leaves(system, number), name=f"{number} leaves")
        calls.create_task(_rings_and_leaves(system), name=RINGING)
    records = {number: await system.record_of(number) for number in (*CALLS, RINGING)}
    before = {number: await _state_at_the_end(system, record) for number, record in records.items()}

    assert {(record["end_reason"], record["fault"]) for record in records.values()} == {("caller_hangup", "none")}
    assert list(before.values()) == ["listening", "processing", "speaking", "speaking", "listening"]
    greetings = [record["turns"][0]["text"] for record in records.values() if record["turns"]]
    assert greetings == [GREETING] * len(CALLS)
    for number, text in {"+79990001003": STORY, "+79990001004": GOODBYE}.items():
        last = records[number]["turns"][-1]
        assert text.startswith(last["text"])
        assert 0 < len(last["text"]) < len(text)
    assert (records[RINGING]["answered_at"], records[RINGING]["turns"]) == (None, [])
    async with asyncio.timeout(60):
        while await system.rooms():
            await asyncio.sleep(0.05)


async def _rings_and_leaves(system: Rig) -> None:
    async with system.carrier.ring(RINGING) as line:
        await line.rung()


async def _leaves(system: Rig, number: str) -> None:
    kind, count, seconds = LEAVES[number]
    while (line := _line_of(system, number)) is None or await _rows(system, line.call_id, kind) < count:
        await asyncio.sleep(0.05)
    await asyncio.sleep(seconds)
    await line.leave()


def _line_of(system: Rig, number: str) -> TelephoneLine | None:
    """Once the agent is in its room."""
    return next((line for line in system.carrier.lines.values() if number in line.identity and line.call_id), None)


async def _rows(system: Rig, call_id: str, kind: str) -> int:
    return sum(row["type"] == kind for row in await system.journal(call_id))


async def _changes(system: Rig, call_id: str) -> list[dict[str, str]]:
    """Of the call's state."""
    return [row["data"] for row in await system.journal(call_id) if row["type"] == "state.changed"]


async def _state_at_the_end(system: Rig, record: dict[str, Any]) -> str:
    changes = await _changes(system, record["call_id"])
    assert changes[-1]["after"] == "ended"
    return changes[-1]["before"]
