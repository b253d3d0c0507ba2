"""The leg loses the caller's room: what they did not hear is not recorded as heard, and is said when they are back."""

import asyncio

from tests.calls.fakes import LINES, LiveCall, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

STORY = "We open at nine on weekdays. On Saturday we open at ten, and on Sunday we stay closed. Come when you like."
NOTICED_SECONDS = 0.5


async def tells_the_story(call: LiveCall, *, seconds: float) -> None:
    """The caller has heard so much of it when the room is lost; the leg notices that a little later."""
    call.says("When do you open?")
    await call.until("agent.reply_started", 2)
    await asyncio.sleep(seconds + NOTICED_SECONDS)
    call.body.lost_line(NOTICED_SECONDS)


async def test_what_was_said_into_the_void_is_not_heard_and_is_said_when_the_caller_is_back() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))

    async with live_call(world, FarEnd()) as call:
        await tells_the_story(call, seconds=1.5)
        paused = await call.until("agent.paused")
        lost = await call.until("leg.lost")
        sent = len(call.far_end.sends_of("audio"))
        await asyncio.sleep(10)
        assert len(call.far_end.sends_of("audio")) == sent, "nobody is there to hear it"
        call.body.regained_line(10 + NOTICED_SECONDS)
        await call.until("agent.finished", heard=STORY)

    spoken = paused.t - lost.data["since_t"]
    assert abs(spoken - NOTICED_SECONDS) < 0.05
    assert len(paused.data["heard"].split()) < len(STORY.split()) / 3
    assert STORY.startswith(paused.data["heard"])
    assert call.rows_of("leg.rejoined")[0].data["away_seconds"] == 10.5


async def test_what_the_caller_missed_of_a_call_that_did_not_come_back_is_not_recorded_as_heard() -> None:
    world = World(model=ScriptedModel(Answer(STORY)))

    async with live_call(world, FarEnd()) as call:
        await tells_the_story(call, seconds=1.5)
        paused = await call.until("agent.paused")
        await asyncio.sleep(29)
        call.body.leave("media_lost")
        await call.ended()

    assert call.turns()[-1] == ("assistant", paused.data["heard"])
    assert call.body.record.end_reason == "media_lost"


async def test_an_answer_that_is_ready_while_the_room_is_away_is_said_when_it_is_back() -> None:
    world = World(model=ScriptedModel(Answer("At nine.", first_token=2.0)))

    async with live_call(world, FarEnd()) as call:
        call.says("When do you open?")
        await asyncio.sleep(0.5)
        call.body.lost_line(0.0)
        await asyncio.sleep(20)
        assert len(call.rows_of("agent.reply_started")) == 1
        call.body.regained_line(20.0)
        await call.until("agent.finished", heard="At nine.")

    assert call.turns() == [("assistant", LINES.greeting), ("user", "When do you open?"), ("assistant", "At nine.")]
