"""Another model is asked for each answer of a call, with the words before it as they were."""

import pytest

from app.agent_tests.asked_again import asked_again
from app.agent_tests.running import CallNotHeld
from app.calls.text.caller import Says
from app.calls.text.session import TEXT_FORMAT
from app.wiring_text import TextPlan
from tests.calls.fakes import World, a_call
from tests.calls.text.test_session import OPEN, held
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True

ASKS = Answer("", tool="find_times", arguments='{"day": "Friday"}')


def a_world(*answers: Answer) -> World:
    world = World(model=ScriptedModel(*answers))
    world.has_tool(ScriptedTool())
    return world


def planned(world: World) -> TextPlan:
    call = a_call()
    return TextPlan(world.planner.plan(TEXT_FORMAT, call=call), call)


async def test_each_answer_is_compared_alone_with_the_results_of_its_tools() -> None:
    rows = await held(
        a_world(Answer(OPEN), ASKS, Answer("At ten.")), Says("When are you open?"), Says("Is Friday free?")
    )
    other = a_world(Answer("At nine.", first_token=0.9), ASKS, Answer("At ten."))
    opening, first, second = await asked_again(rows, planned(other))

    assert opening.differs == ()
    assert first.now is not None
    assert (first.differs, first.now.agent) == (("words", "time"), "At nine.")
    assert first.now.answer == pytest.approx(0.9, abs=0.05)
    assert second.now is not None
    assert "words" not in second.differs
    assert second.now.tools == ('find_times {"day": "Friday"}',)
    asked = other.model.asked[1]
    assert OPEN in [message.content for message in asked], "what was said before is as it was"
    assert other.tools["find_times"].asked == [], "no tool is called"


async def test_a_call_without_answers_of_the_model_cannot_be_asked_again() -> None:
    with pytest.raises(CallNotHeld):
        await asked_again(await held(a_world()), planned(a_world()))
