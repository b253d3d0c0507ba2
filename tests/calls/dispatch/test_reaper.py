"""Calls of dead processes are ended by others, and only those."""

import asyncio

from app.clock import iso_utc
from app.conversation import events as ev
from app.errors import StorageError
from app.journal.record import call_record
from app.models import JournalRow
from app.storage.calls import CallRow
from tests.calls.desk import STORY, desk, reasons
from tests.calls.fakes import START, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

COUNTED_BY_THE_HEIR = (
    "voice_calls",
    "voice_call_duration_seconds",
    "voice_turn_latency_seconds",
    "voice_turns",
    "voice_utterances",
    "voice_provider_usage",
    "voice_provider_cost_usd",
)


async def a_dead_call(world: World, call_id: str) -> CallRow:
    """Half a call in the journal: its process died while the agent spoke."""
    dying = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(dying, FarEnd(), call_id=call_id) as call:
        call.says("When do you open?")
        await call.until("agent.clause_started", 3)
        world.journal.rows_of[call_id] = list(call.rows)
    row = the_row_of(call_id)
    world.calls.expired.append(row)
    return row


async def a_silent_call(world: World, call_id: str) -> None:
    """Its process does not renew the lease; nobody says that it is dead."""
    await a_dead_call(world, call_id)
    world.calls.silent.append(world.calls.expired.pop())


def the_row_of(call_id: str) -> CallRow:
    return CallRow(
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


async def test_the_process_that_ends_a_call_of_a_dead_one_lets_its_caller_go() -> None:
    world = World()
    dead = await a_dead_call(world, "dead-1")
    let_go: list[CallRow] = []
    async with desk(world) as open_desk:
        open_desk.dispatcher.on_crashed.add(let_go.append)
        await asyncio.sleep(2)

    assert let_go == [dead]


async def test_a_process_that_could_not_renew_its_own_leases_reaps_no_call_until_all_could() -> None:
    world = World()
    await a_silent_call(world, "silent-1")
    locked = StorageError("the database is locked")
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        for _ in range(3):
            await asyncio.sleep(1.9)
            world.calls.fails_with = locked
            await asyncio.sleep(1.6)
            world.calls.fails_with = None
        assert reasons(world) == {}
        await asyncio.sleep(3.1)
        assert reasons(world) == {"silent-1": "crashed"}
        assert call.body.record.end_reason is None


async def test_a_process_that_was_stopped_reaps_no_call_when_it_goes_on() -> None:
    world, skipped = World(), 0.0
    loop = asyncio.get_running_loop()
    await a_silent_call(world, "silent-1")
    silent, world.calls.silent = world.calls.silent, []
    async with desk(world, lease_clock=lambda: loop.time() + skipped) as open_desk:
        await open_desk.rings()
        await asyncio.sleep(5)
        skipped = 60.0
        world.calls.silent = silent
        await asyncio.sleep(2)
        assert reasons(world) == {}
        await asyncio.sleep(1.1)
        assert reasons(world) == {"silent-1": "crashed"}


async def test_a_call_whose_ownership_is_lost_falls_silent_at_once_and_the_new_owner_counts_it() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        world.calls.lost = {"call-1"}
        await asyncio.sleep(0.6)
        sent = len(call.far_end.sent)
        await call.ended()
        assert len(call.far_end.sent) == sent
        assert call.far_end.ended == "crashed"
        assert open_desk.dispatcher.live_calls == 0

    assert reasons(world) == {}
    assert world.figure("voice_calls_active") == 0
    families = list(world.services.metrics.registry.collect())
    of_calls = [family for family in families if family.name in COUNTED_BY_THE_HEIR]
    assert len(of_calls) == len(COUNTED_BY_THE_HEIR)
    counts = [sample for family in of_calls for sample in family.samples if not sample.name.endswith("_created")]
    assert {sample.value for sample in counts} <= {0.0}


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
    broken = JournalRow(len(first) + 1, first[-1].at, "soon", "turn.taken", 9, ev.VERSION, {})  # type: ignore[arg-type]  # no version wrote it
    first.append(broken)
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        await asyncio.sleep(2)
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert reasons(world) == {"dead-1": "crashed", "dead-2": "crashed", "call-1": "caller_hangup"}
    assert call_record(world.journal.rows_of["dead-1"]).turns == call_record(first[:-2]).turns


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


async def test_a_row_of_another_version_does_not_keep_its_call_from_its_end() -> None:
    world = World()
    await a_dead_call(world, "dead-1")
    rows = world.journal.rows_of["dead-1"]
    rows.append(JournalRow(len(rows) + 1, rows[-1].at, rows[-1].t, "turn.taken", 9, ev.VERSION, {"source": ["new"]}))
    async with desk(world):
        await asyncio.sleep(1)
    assert reasons(world) == {"dead-1": "crashed"}
