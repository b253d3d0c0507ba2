"""The dispatcher takes calls, keeps them, and drains them."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from app.errors import AtCapacity, Draining, ProviderUnavailable, StorageError
from tests.calls.desk import STORY, desk, reasons
from tests.calls.fakes import AGENT, LINES, World
from tests.calls.far_end import TELEPHONE
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True


async def test_two_calls_at_once_are_held_in_two_languages() -> None:
    lines = {"de": replace(LINES, greeting="Guten Tag!"), "fr": replace(LINES, greeting="Bonjour !")}
    spoken = replace(AGENT, policy=replace(AGENT.policy, lines=lines), voices={"de": "anna", "fr": "amelie"})
    world = World(agent=replace(spoken, language="de"), model=ScriptedModel(Answer("Um 9."), Answer("Um 9.")))
    async with desk(world) as open_desk:
        german = await open_desk.rings("german")
        french = await open_desk.rings("french", language_hint="fr")
        for call in (german, french):
            await call.greeted()
            call.says("When do you open?", language=None)
        for call in (german, french):
            await call.until("agent.finished", 2)

    said = {name: world.voice.of_call(name) for name in ("german", "french")}
    assert [call.turns()[0][1] for call in (german, french)] == ["Guten Tag!", "Bonjour !"]
    assert {each.config.language for each in said["german"]} == {"de"}
    assert {each.config.voice_id for each in said["french"]} == {"amelie"}
    assert ["".join(said[name][-1].said).strip() for name in ("german", "french")] == ["Um neun.", "Um neuf."]


# --- admission --------------------------------------------------------------------------------------------------------


async def test_a_call_is_taken_stored_and_marked_as_answered() -> None:
    world = World()
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        assert open_desk.dispatcher.live_calls == 1
        assert world.calls.created["call-1"].owner == "worker-a"
        assert world.calls.created["call-1"].status == "ringing"
        assert world.calls.answered == ["call-1"]

    assert open_desk.dispatcher.live_calls == 0
    assert reasons(world) == {"call-1": "caller_hangup"}


async def test_a_call_too_many_is_refused_and_a_place_is_free_again_after_a_call() -> None:
    world = World()
    async with desk(world, max_live=2) as open_desk:
        first, _ = await open_desk.rings("one"), await open_desk.rings("two")
        with pytest.raises(AtCapacity):
            await open_desk.dispatcher.admission.check()
        with pytest.raises(AtCapacity):
            await open_desk.rings("three")
        assert open_desk.dispatcher.live_calls == 2

        first.body.leave("caller_hangup")
        await first.ended()
        await open_desk.dispatcher.admission.check()
        await open_desk.rings("four")

    assert reasons(world).keys() == {"one", "two", "four"}


async def test_the_calls_of_other_processes_count() -> None:
    world = World()
    world.calls.live_elsewhere = 10
    async with desk(world, max_live=10) as open_desk:
        with pytest.raises(AtCapacity):
            await open_desk.rings()


async def test_a_call_that_cannot_be_stored_is_not_taken() -> None:
    world = World()
    world.calls.fails_with = StorageError("the disk is full")
    async with desk(world) as open_desk:
        with pytest.raises(StorageError):
            await open_desk.rings()
        assert open_desk.dispatcher.live_calls == 0
        world.calls.fails_with = None
        await (await open_desk.rings("call-2")).greeted()


async def test_metrics_that_cannot_be_counted_cost_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    world = World()
    for name in ("call_started", "call_rejected"):
        monkeypatch.setattr(world.services.metrics, name, broken)
    async with desk(world, max_live=1) as open_desk:
        call = await open_desk.rings("one")
        await call.greeted()
        with pytest.raises(AtCapacity):
            await open_desk.rings("two")
    assert reasons(world) == {"one": "caller_hangup"}


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_leases_are_renewed_long_before_they_expire() -> None:
    world = World()
    async with desk(world) as open_desk:
        await open_desk.rings("one")
        await open_desk.rings("two")
        await asyncio.sleep(5)

    times = [at for at, calls in world.calls.renewals if {"one", "two"} <= set(calls)]
    assert len(times) >= 9
    assert max(after - before for before, after in pairwise(times)) <= 0.51


async def test_storage_that_fails_for_a_while_harms_no_call() -> None:
    world = World()
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        world.calls.fails_with = StorageError("locked")
        await asyncio.sleep(2)
        world.calls.fails_with = None
        assert world.figure("voice_lease_renewals_failed_total") == 4
        renewed = len(world.calls.renewals)
        await asyncio.sleep(1)
        assert len(world.calls.renewals) > renewed
        call.says("When do you open?")
        await call.until("agent.finished", 2)


async def test_an_outage_of_the_storage_is_two_lines_of_the_log() -> None:
    world = World()
    with capture_logs() as lines:
        async with desk(world) as open_desk:
            await open_desk.rings()
            world.calls.fails_with = StorageError("the disk is full")
            await asyncio.sleep(60)
            world.calls.fails_with = None
            await asyncio.sleep(1)

    told = [line for line in lines if line["event"].startswith("leases.")]
    assert [line["event"] for line in told] == ["leases.not_renewed", "leases.in_order"]
    assert told[0]["error"] == "the disk is full"


async def test_a_call_that_another_process_took_is_dropped_here() -> None:
    world = World()
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        open_desk.dispatcher.ownership_lost("call-1")
        open_desk.dispatcher.ownership_lost("unknown")
        await call.ended()

    assert reasons(world) == {}


# --- draining ---------------------------------------------------------------------------------------------------------


async def test_draining_takes_no_new_call_and_waits_for_the_live_ones() -> None:
    world = World(model=ScriptedModel(Answer("Goodbye!", tool="end_call")))
    async with desk(world) as open_desk:
        call = await open_desk.rings()
        await call.greeted()
        drained = asyncio.get_running_loop().create_task(open_desk.dispatcher.drain(30), name="drain")
        await asyncio.sleep(0.1)
        with pytest.raises(Draining):
            await open_desk.dispatcher.admission.check()
        with pytest.raises(Draining):
            await open_desk.rings("call-2")
        call.says("Thank you, that is all.")
        began = call.now
        await drained
        assert call.now - began < 5

    assert reasons(world) == {"call-1": "agent_hangup"}


async def test_calls_that_outlast_the_draining_hear_a_goodbye_and_have_a_complete_record() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with desk(world) as open_desk:
        calls = [await open_desk.rings("one"), await open_desk.rings("two")]
        for call in calls:
            await call.greeted()
        calls[0].says("When do you open?")
        await calls[0].until("agent.reply_started", 2)
        began = calls[0].now
        await open_desk.dispatcher.drain(2)
        assert calls[0].now - began < 8
        assert open_desk.dispatcher.live_calls == 0

    for call in calls:
        assert call.turns()[-1] == ("assistant", LINES.shutdown_goodbye)
        assert call.rows[-1].type == "call.ended"
        assert call.far_end.ended == "shutdown"
    assert reasons(world) == {"one": "shutdown", "two": "shutdown"}


async def test_stopping_ends_the_calls_that_were_not_drained_without_a_goodbye() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with desk(world) as open_desk:
        calls = [await open_desk.rings("one"), await open_desk.rings("two")]
        for call in calls:
            await call.greeted()
        draining = asyncio.get_running_loop().create_task(open_desk.dispatcher.drain(0), name="drain")
        await calls[0].until("operator.hangup_requested")
        began = calls[0].now
        open_desk.dispatcher.stop()
        for call in calls:
            await call.ended()
        assert calls[0].now - began < 0.5
        await draining

    assert reasons(world) == {"one": "shutdown", "two": "shutdown"}
    assert {call.body.record.fault for call in calls} == {"ours"}


async def test_a_call_that_was_being_stored_when_the_draining_began_is_drained_too() -> None:
    world = World()
    world.calls.create_takes = 1.0
    async with desk(world) as open_desk:
        starting = asyncio.get_running_loop().create_task(open_desk.rings(), name="start")
        await asyncio.sleep(0.5)
        await open_desk.dispatcher.drain(2)
        await starting
        assert open_desk.dispatcher.live_calls == 0

    assert reasons(world) == {"call-1": "shutdown"}


async def test_a_call_that_was_refused_while_the_draining_began_does_not_hold_it_up() -> None:
    world = World()
    world.calls.create_takes = 1.0
    world.calls.live_elsewhere = 10
    async with desk(world, max_live=10) as open_desk:
        starting = asyncio.get_running_loop().create_task(open_desk.rings(), name="start")
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        await open_desk.dispatcher.drain(30)
        assert asyncio.get_running_loop().time() - began < 1
        with pytest.raises(AtCapacity):
            await starting


# --- prepared lines ---------------------------------------------------------------------------------------------------


async def test_the_lines_are_prepared_once_for_each_format() -> None:
    world = World()
    async with desk(world) as open_desk:
        await open_desk.rings("one")
        await open_desk.rings("two")
        await asyncio.sleep(20)

    prepared = [utterance.said[0] for utterance in world.voice.of_call("phrases")]
    assert len(prepared) == len(set(prepared)) >= 12
    assert prepared[0] == LINES.fillers[0]


async def test_the_lines_of_the_calls_that_will_come_are_prepared_at_the_start() -> None:
    world = World()
    async with desk(world) as open_desk:
        open_desk.dispatcher.prepare_phrases(TELEPHONE)
        await asyncio.sleep(20)
        at_start = len(world.voice.of_call("phrases"))
        await open_desk.rings()
        await asyncio.sleep(1)

    assert at_start >= 12
    assert len(world.voice.of_call("phrases")) == at_start
    assert world.voice.of_call("call-1") == [], "the greeting was ready"


async def test_what_is_said_while_a_tool_runs_is_prepared_too() -> None:
    world = World()
    world.has_tool(ScriptedTool(waiting_phrase="Let me look."))
    async with desk(world) as open_desk:
        await open_desk.rings("one")
        await asyncio.sleep(20)

    assert world.voice.of_call("phrases")[-1].said == ["Let me look."]


async def test_lines_that_could_not_be_prepared_are_tried_at_the_next_call() -> None:
    world = World()
    world.voice.down = ProviderUnavailable("cartesia", "the line was cut")
    async with desk(world) as open_desk:
        await open_desk.rings("one")
        await asyncio.sleep(1)
        tried = len(world.voice.of_call("phrases"))
        world.voice.down = None
        await open_desk.rings("two")
        await asyncio.sleep(20)

    assert tried == 1
    assert len(world.voice.of_call("phrases")) > 10


async def test_a_service_that_stops_does_not_wait_for_lines_that_are_being_prepared() -> None:
    world = World()
    world.voice.first_sound = 100.0
    async with desk(world) as open_desk:
        await open_desk.rings()
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began < 10


async def test_a_bug_while_lines_are_prepared_harms_no_call() -> None:
    lines = replace(LINES, keypad=None)  # type: ignore[arg-type]
    world = World(agent=replace(AGENT, policy=replace(AGENT.policy, lines={"en": lines})))
    async with desk(world, failures={"phrases": 1}) as open_desk:
        call = await open_desk.rings()
        await asyncio.sleep(7)
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert reasons(world) == {"call-1": "caller_hangup"}
