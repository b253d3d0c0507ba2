"""A caller who cuts the greeting short hears the rest of its notice, and then the answer, even one that is ready."""

import asyncio

from app.conversation import events as ev
from app.conversation.policy import ENGLISH
from tests.calls.fakes import LiveCall, World, in_virtual_time, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

NOTICE = "I'm a voice assistant."


def test_the_notice_goes_before_an_answer_that_is_ready() -> None:
    async def work() -> LiveCall:
        async with live_call(World(model=ScriptedModel(Answer("From nine to six."))), FarEnd(), greeted=False) as call:
            call.body.emit(ev.CallerTurnEndedEagerly("When do you open?"))
            await asyncio.sleep(0.7)
            call.body.emit(ev.CallerTurnEnded("When do you open?", confidence=0.9))
            await call.until("agent.finished", 2)
        return call

    call = in_virtual_time(work)

    assert ENGLISH.greeting.startswith("Hello! " + NOTICE)
    spoken = [row.data["kind"] for row in call.rows_of("agent.reply_started")]
    assert spoken[-2:] == ["notice", "reply"]
    assert call.turns()[-2:] == [("assistant", NOTICE), ("assistant", "From nine to six.")]
