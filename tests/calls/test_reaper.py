"""Calls of dead processes are ended by others, and only those."""

import asyncio

from app.clock import iso_utc
from app.conversation import events as ev
from app.conversation.record import call_record
from app.models import JournalRow
from app.storage.calls import CallRow
from tests.calls.desk import STORY, desk, reasons
from tests.calls.fakes import START, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True


async def a_dead_call(world: World, call_id: str) -> CallRow:
    """Half a call in the journal: its process died while the agent spoke."""
    dying = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(dying, FarEnd(), call_id=call_id) as call:
        call.says("When do you open?")
        await call.until("agent.clause_started", 3)
        world.journal.rows_of[call_id] = list(call.rows)
    row = CallRow(
        call_id=call_id,
        kind="websocket",
        direction="web",
        status="active",
        created_at=iso_utc(START),
        started_at=iso_utc(START),
        version="1.2.3",
        owner="worker-a",
        fence=2,
    )
    world.calls.expired.append(row)
    return row


async def test_a_call_of_a_dead_process_is_ended_as_crashed_with_what_was_said() -> None:
    world = World()
    await a_dead_call(world, "dead-1")
    async with desk(world):
        await asyncio.sleep(1)

    rows = world.journal.rows_of["dead-1"]
    record = call_record(rows)
    assert (record.end_reason, record.fault) == ("crashed", "ours")
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].t == rows[-2].t
    assert record.turns[-1].role == "assistant"
    assert record.turns[-1].text.startswith("We open at nine on weekdays. ")
    assert reasons(world) == {"dead-1": "crashed"}


async def test_whoever_ends_a_call_of_a_dead_process_lets_its_caller_go() -> None:
    world = World()
    dead = await a_dead_call(world, "dead-1")
    let_go: list[CallRow] = []
    async with desk(world) as open_desk:
        open_desk.dispatcher.on_crashed = let_go.append
        await asyncio.sleep(2)

    assert let_go == [dead]


async def test_a_call_that_died_before_its_first_row_is_ended_too() -> None:
    world = World()
    await a_dead_call(world, "dead-1")
    world.journal.rows_of.clear()
    async with desk(world):
        await asyncio.sleep(1)

    assert [row.type for row in world.journal.rows_of["dead-1"]] == ["call.ended"]


async def test_one_call_that_cannot_be_read_does_not_keep_the_others_from_their_end() -> None:
    world = World()
    await a_dead_call(world, "dead-1")
    await a_dead_call(world, "dead-2")
    first = world.journal.rows_of["dead-1"]
    first.append(JournalRow(len(first) + 1, first[-1].at, first[-1].t, "turn.taken", 9, ev.VERSION, {}))
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        await asyncio.sleep(2)
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert reasons(world) == {"dead-2": "crashed", "call-1": "caller_hangup"}


async def test_a_call_that_has_ended_while_its_last_rows_wait_is_held_until_they_are_committed() -> None:
    world = World()
    await a_dead_call(world, "slow-1")
    world.journal.uncommitted = {"slow-1"}
    async with desk(world):
        await asyncio.sleep(5)
        assert world.journal.endings == {}
        assert len([calls for _, calls in world.calls.renewals if "slow-1" in calls]) >= 9
        world.journal.uncommitted.clear()
        await asyncio.sleep(1)
        assert reasons(world) == {"slow-1": "crashed"}
