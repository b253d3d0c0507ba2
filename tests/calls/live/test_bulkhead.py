"""A bug ends the call that has it, with a complete record, and no other."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.conversation import events as ev
from tests.calls.fakes import LiveCall, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel, Trouble

VIRTUAL_TIME = True

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
BUG = ZeroDivisionError("a bug")


class Grenade:
    """Something whose use is a bug."""

    def __call__(self, *_arguments: object, **_more: object) -> object:
        raise BUG


async def in_the_transcription(call: LiveCall) -> None:
    call.hears(BUG)


async def in_the_detector(call: LiveCall) -> None:
    call.body._transcription._sounds = Grenade()  # type: ignore[union-attr]
    await call.frames(bytes(320))


async def in_the_playback(call: LiveCall) -> None:
    call.far_end.send_audio = Grenade()  # type: ignore[method-assign,assignment]


async def in_the_event_loop(call: LiveCall) -> None:
    call.body.emit(ev.CallerWords(None))  # type: ignore[arg-type]


async def in_the_journal(call: LiveCall) -> None:
    call.world.journal.bugs.add(call.call_id)
    call.body.emit(ev.CallerWords("no wait, tomorrow please"))


async def in_the_leg(call: LiveCall) -> None:
    async def breaks() -> None:
        raise BUG

    call.body._spawn(call.body.carry(breaks()), "leg")


BUGS = [in_the_transcription, in_the_detector, in_the_playback, in_the_event_loop, in_the_journal, in_the_leg]


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_ends_its_call_as_an_internal_error_and_another_call_notices_nothing(
    bug: Callable[[LiveCall], Awaitable[None]],
) -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    healthy_end = FarEnd()
    async with (
        live_call(world, healthy_end, call_id="healthy") as healthy,
        live_call(world, FarEnd(), call_id="broken") as broken,
    ):
        broken.says("When do you open?")
        healthy.says("When do you open?")
        await broken.until("agent.reply_started", 2)
        await asyncio.sleep(1.0)
        await bug(broken)
        await broken.ended()
        await healthy.until("agent.finished", 2)

    record = broken.body.record
    assert (record.end_reason, record.fault) == ("internal_error", "ours")
    assert broken.far_end.ended == "internal_error"
    assert broken.rows[-1].type == "call.ended"
    assert [row.seq for row in broken.rows] == list(range(1, len(broken.rows) + 1))
    spoken = [turn for turn in record.turns if turn.role == "assistant"][-1]
    assert spoken.interrupted
    assert STORY.startswith(spoken.text.strip())
    assert 0 < len(spoken.text) < len(STORY)
    assert {row.data["provider"] for row in broken.rows_of("provider.used")} >= {"openai", "cartesia"}

    assert healthy.turns()[-1] == ("assistant", STORY)
    assert healthy.body.record.end_reason == "caller_hangup"
    assert healthy.body.record.fault == "none"
    assert healthy_end.heard == b"".join(utterance.audio for utterance in world.voice.of_call("healthy"))


async def test_a_bug_in_the_task_of_an_answer_ends_the_call() -> None:
    world = World(model=ScriptedModel(Answer(STORY, each_token=0.1, fails=BUG)))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.ended()

    assert call.body.record.end_reason == "internal_error"


async def test_a_bug_in_the_voice_ends_the_call() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(world, FarEnd()) as call:
        world.voice.troubles = [Trouble(1.0, BUG)]
        call.says("When do you open?")
        await call.ended()

    assert call.body.record.end_reason == "internal_error"


async def test_a_leg_that_cannot_even_be_closed_harms_no_other_call() -> None:
    far_end = FarEnd()
    far_end.fails_with = BUG

    async with live_call(World(), far_end) as call:
        pass

    assert call.body.record.end_reason == "caller_hangup"
    assert call.rows[-1].type == "call.ended"


async def test_more_events_than_fit_crash_that_call_alone() -> None:
    world = World()
    async with live_call(world, FarEnd(), call_id="sane") as sane, live_call(world, FarEnd(), call_id="mad") as mad:
        for number in range(5000):
            mad.body.emit(ev.CallerDtmf(str(number % 10)))
        await mad.ended()
        sane.says("When do you open?")
        await sane.until("agent.finished", 2)

    assert mad.body.record.end_reason == "internal_error"
    assert len(mad.rows) < 1100
    assert sane.body.record.end_reason == "caller_hangup"


async def test_a_bug_after_the_last_row_writes_no_second_end() -> None:
    world = World()
    async with live_call(world, FarEnd()) as call:
        world.journal.flush_bugs.add("call-1")
        call.body.leave("caller_hangup")
        await call.ended()

    assert [row.type for row in call.rows].count("call.ended") == 1
    assert call.body.record.end_reason == "caller_hangup"


async def test_a_caller_leaves_once() -> None:
    async with live_call(World(), FarEnd()) as call:
        call.body.leave("caller_hangup")
        call.body.leave("media_lost")
        await call.ended()

    assert [row.data["reason"] for row in call.rows_of("caller.left")] == ["caller_hangup"]


async def test_events_after_the_end_are_dropped() -> None:
    async with live_call(World(), FarEnd()) as call:
        call.body.leave("caller_hangup")
        await call.ended()
        rows = len(call.rows)
        await call.frames(bytes(320) * 100)
        call.body.press("5")
        call.body.leave("media_lost")
        await asyncio.sleep(1)

    assert len(call.rows) == rows
    assert len(call.rows_of("caller.left")) == 1


# --- storage and ownership --------------------------------------------------------------------------------------------


async def test_storage_that_fails_ends_no_call() -> None:
    world = World(model=ScriptedModel(Answer("At nine.")))
    world.journal.storage_fails = True

    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.finished", 2)

    assert call.turns()[-1] == ("assistant", "At nine.")
    assert call.body.record.end_reason == "caller_hangup"
    assert call.rows[-1].type == "call.ended"


@pytest.mark.parametrize("how", ["locked", "failing"])
async def test_a_call_is_counted_when_its_end_is_committed(how: str) -> None:
    """If the process dies before that, whoever finds its last rows counts it."""
    world = World()

    def counted() -> list[float]:
        ended = world.figure("voice_calls_total", direction="inbound", end_reason="caller_hangup", fault="none")
        return [ended, world.figure("voice_utterances_total", kind="greeting")]

    async with live_call(world, FarEnd()) as call:
        active = world.figure("voice_calls_active")
        world.journal.flush_takes, world.journal.storage_fails = (8.0, False) if how == "locked" else (1.0, True)
        call.body.leave("caller_hangup")
        await call.ended()
        assert (world.figure("voice_calls_active"), counted()) == (active - 1, [0, 0])
        if how == "failing":
            await asyncio.sleep(60)
            assert counted() == [0, 0]
        world.journal.storage_fails = False
        await asyncio.sleep(20)
        assert counted() == [1, 1]


async def test_a_call_that_is_lost_before_its_end_is_committed_is_not_counted() -> None:
    world = World()
    async with live_call(world, FarEnd()) as call:
        world.journal.flush_takes = 8.0
        call.body.leave("caller_hangup")
        await call.ended()
        world.journal.lost.add(call.call_id)
        await asyncio.sleep(20)
    assert world.figure("voice_utterances_total", kind="greeting") == 0


async def test_a_slow_database_does_not_delay_the_greeting() -> None:
    world = World()
    world.journal.flush_takes = 3.0

    async with live_call(world, FarEnd(delay=0.0), greeted=False) as call:
        await call.until("agent.reply_started")
        assert call.far_end.sends_of("audio")[0].at - call.began < 0.8
        left = call.now
        call.body.leave("caller_hangup")
        await call.ended()
        assert call.now - left > 2.9  # the terminal row is waited for
        assert call.body.record.answered_t == pytest.approx(0.0, abs=0.01)  # it rang no longer for it

    assert [row.type for row in call.rows[:3]] == ["call.created", "call.answered", "agent.reply_started"]


async def test_a_call_that_another_process_owns_stops_without_writing() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))
    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await call.until("agent.reply_started", 2)
        await asyncio.sleep(1.0)
        rows = len(call.rows)
        call.body.ownership_lost()
        await call.ended()
        sent = len(call.far_end.sends_of("audio"))
        await asyncio.sleep(1.0)

    assert len(call.rows) == rows
    assert len(call.far_end.sends_of("audio")) == sent
    assert world.model.open_streams == 0
    assert call.far_end.ended is not None


async def test_a_call_that_was_lost_before_it_began_writes_no_end() -> None:
    world = World()
    world.journal.lost.add("call-1")

    async with live_call(world, FarEnd(), greeted=False) as call:
        await call.ended()

    assert call.rows_of("call.ended") == []
    assert call.far_end.ended is not None


async def test_health_shows_a_call_that_crashed() -> None:
    async with live_call(World(), FarEnd()) as call:
        await in_the_transcription(call)
        await call.ended()

        assert (await call.body.get_health_status()).status == "failed"
