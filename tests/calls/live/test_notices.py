"""A caller who cuts the greeting short hears the rest of its notice, and then the answer, even one that is ready."""

import asyncio
from dataclasses import replace

from app.conversation import events as ev
from tests.calls.fakes import AGENT, LINES, POLICY, LiveCall, World, in_virtual_time, live_call
from tests.calls.far_end import TELEPHONE, FarEnd
from tests.calls.vendors import Answer, ScriptedModel

NOTICE = "This call is recorded."
GREETING = f"Hello, I am the assistant. {NOTICE} How can I help?"


def test_the_notice_goes_before_an_answer_that_is_ready() -> None:
    agent = replace(AGENT, policy=replace(POLICY, lines={"en": replace(LINES, greeting=GREETING)}))

    async def work() -> tuple[LiveCall, bool]:
        world = World(model=ScriptedModel(Answer("From nine to six.")), agent=agent)
        async with live_call(world, FarEnd(), greeted=False) as call:
            call.body.emit(ev.CallerTurnEndedEagerly("When do you open?"))
            await asyncio.sleep(2.0)
            assert len(call.rows_of("agent.reply_generated")) == 2
            call.body.emit(ev.CallerTurnEnded("When do you open?", confidence=0.9))
            await call.until("agent.finished", 2)
        kept = await world.phrases.get(NOTICE, agent.voice("en", TELEPHONE), world.voice)
        return call, kept is not None

    call, is_kept = in_virtual_time(work)

    assert [row.data["kind"] for row in call.rows_of("agent.reply_started")] == ["greeting", "notice", "reply"]
    assert call.turns()[-2:] == [("assistant", NOTICE), ("assistant", "From nine to six.")]
    assert not is_kept, "a part of a greeting may hold values of the call"
