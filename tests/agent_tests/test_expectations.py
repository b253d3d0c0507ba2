"""When an expectation is met, and at which turn it fails, from rows of calls held with a scripted model."""

import pytest

from app.agent_tests.expectations import check, spent_usd
from app.agent_tests.judge import Judge
from app.agent_tests.kept_answers import KeptAnswers
from app.agent_tests.shape import Expectation
from app.calls.text.caller import Interrupts, Says
from app.errors import ProviderUnavailable
from app.models import JournalRow, Message
from app.ports.vendors import GeneratedText
from tests.calls.fakes import World
from tests.calls.text.test_session import OPEN, held
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True


class NoModel:
    """A judge's model that is down."""

    async def generate(self, messages: list[Message], **_options: object) -> GeneratedText:
        raise ProviderUnavailable("openai", "no answer")


JUDGE = Judge(NoModel(), "gpt-6-luna", KeptAnswers(None))


async def rows_of(*steps: Says | Interrupts) -> list[JournalRow]:
    return await held(World(model=ScriptedModel(Answer(OPEN))), *steps)


async def test_a_judge_that_is_down_is_a_failure_and_says_so() -> None:
    rows = await rows_of(Says("When are you open?"))
    checked = await check(Expectation.model_validate({"said": {"judge": "Is it polite?"}}), rows, JUDGE)
    assert not checked.is_met
    assert checked.why == "the model that judges gave no answer: provider_unavailable"


async def test_what_the_caller_did_not_hear_was_not_said() -> None:
    rows = await rows_of(Says("When are you open?"), Interrupts("Stop, please, stop", 1.0))
    first = [row for row in rows if row.turn is None or row.turn <= 2]
    expected = Expectation(said="nine in the morning")
    assert not (await check(expected, first, JUDGE)).is_met
    assert (await check(expected, rows, JUDGE)).is_met, "the next answer says it"


@pytest.mark.parametrize(("after", "count"), [(0.4, 1), (2.5, 0)])
async def test_an_agent_interrupts_a_caller_who_goes_on_at_once(after: float, count: int) -> None:
    rows = await rows_of(Says("When are you open?"), Interrupts("I mean on Sunday, please", after))
    checked = await check(Expectation(interrupts=0), rows, JUDGE)
    assert checked.is_met is (count == 0)
    assert (await check(Expectation(interrupts=1), rows, JUDGE)).is_met


async def test_a_cost_fails_at_the_turn_that_passes_it() -> None:
    rows = await rows_of(Says("When are you open?"), Says("And then?"), Says("And after that?"))
    assert spent_usd(rows) == pytest.approx(0.003)
    checked = await check(Expectation(cost=0.0015), rows, JUDGE)
    assert (checked.is_met, checked.turn) == (False, 3)
    assert "And then?" in checked.said
