"""A call and the same call held again, side by side."""

import pytest

from app.calls.text.caller import Interrupts, Says
from app.journal.comparison import Compared, Exchange, compared, exchanges
from tests.calls.fakes import World
from tests.calls.text.test_session import OPEN, held
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True

HELLO = Exchange("When?", "At nine.", 0.5, 0.4, ("find {}",))


async def test_an_exchange_is_what_was_said_between_two_turns_of_the_caller() -> None:
    asks = Answer("", tool="find_times", arguments='{"day": "Friday"}')
    world = World(model=ScriptedModel(Answer(OPEN, first_token=0.7), asks, Answer("At ten.")))
    world.has_tool(ScriptedTool())
    rows = await held(world, Says("When are you open?"), Interrupts("Wait, is Friday free?", 2.0))
    opening, first, second = exchanges(rows)

    assert (opening.caller, opening.agent) == ("", world.agent.policy.lines["en"].greeting)
    assert (first.caller, first.interrupted) == ("When are you open?", True)
    assert first.first_token is not None
    assert first.answer is not None
    assert 0.7 <= first.first_token <= first.answer
    assert OPEN.startswith(first.agent)
    assert (second.agent, second.tools) == ("At ten.", ('find_times {"day": "Friday"}',))
    assert exchanges(rows, of_model=True)[1].agent == OPEN
    assert second.as_written()["tools"] == ['find_times {"day": "Friday"}']
    assert "interrupted" not in second.as_written()


@pytest.mark.parametrize(
    ("now", "differs"),
    [
        (HELLO, ()),
        (Exchange("when", "At  nine", 0.6, 0.4, ("find {}",)), ()),
        (Exchange("When?", "At ten.", 0.5, 0.4, ("find {}",)), ("words",)),
        (Exchange("When?", "At nine.", 0.9, 0.4, ("find {}",)), ("time",)),
        (Exchange("When?", "At nine.", None, None, ("find {}",)), ("time",)),
        (Exchange("When?", "At nine.", 0.5, 0.4), ("tools",)),
        (Exchange("Where?", "At nine.", 0.5, 0.4, ("find {}",), interrupted=True), ("caller", "words")),
    ],
)
def test_they_differ_in_words_time_and_tools(now: Exchange, differs: tuple[str, ...]) -> None:
    assert Compared(1, HELLO, now).differs == differs


def test_a_call_that_was_longer_has_more() -> None:
    assert [(each.number, each.differs) for each in compared([HELLO, HELLO], [HELLO])] == [(1, ()), (2, ("words",))]
