"""A call becomes a test: held again from its file, it goes as it went."""

from pathlib import Path

import pytest

from app.agent_tests.file import read_test_file
from app.agent_tests.fixed_tools import fixed_tool
from app.agent_tests.text_runner import script_step
from app.calls.text.caller import HangsUp, Interrupts, Presses, Says, Silent
from app.calls.text.script import Step
from app.clients.http_tools import ToolAnswer
from app.journal.record import call_record
from app.journal.scenario import RecordedCall
from app.models import JournalRow
from tests.calls.fakes import World
from tests.calls.text.test_session import OPEN, held, said
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True

STEPS: tuple[Step, ...] = (
    Says("When are you open?"),
    Interrupts("Wait, is Friday free?", 2.0),
    Silent(5.0),
    Says("And Monday?"),
    Presses("12#"),
)


def a_world(answer: ToolAnswer = ToolAnswer(200, '{"times": ["10:00"]}')) -> World:  # noqa: B008 - a plain value
    asks = [Answer("", tool="find_times", arguments=f'{{"day": "{day}"}}') for day in ("Friday", "Monday")]
    world = World(
        model=ScriptedModel(
            Answer(OPEN), asks[0], Answer("At ten."), asks[1], Answer("At ten, too."), Answer("Thanks.")
        )
    )
    world.has_tool(ScriptedTool(answer=answer))
    return world


def shown(rows: list[JournalRow]) -> list[tuple[str, str]]:
    return said(call_record(rows))


async def test_a_call_that_was_recorded_goes_as_it_went(tmp_path: Path) -> None:
    first = await held(a_world(), *STEPS)
    path = tmp_path / "call.tests.yaml"
    path.write_text(RecordedCall("call-1", first).written())
    (scenario,) = read_test_file(path).scenarios
    steps = [script_step(line, scenario.language) for line in scenario.caller.lines or ()]

    assert [type(step) for step in steps] == [Says, Interrupts, Silent, Says, Presses, HangsUp]
    tools = [fixed_tool(name, answers) for name, answers in scenario.tools.items()]
    world = a_world()
    again = await held(world, *steps, tools=tools)
    assert shown(again) == shown(first)
    assert world.tools["find_times"].asked == []
    assert [each.kind for each in scenario.expect] == ["tool", "tool", "end_reason"]
    assert scenario.expect[0].arguments == {"day": "Friday"}


async def test_a_tool_that_was_refused_is_refused_again(tmp_path: Path) -> None:
    first = await held(a_world(ToolAnswer(409, "taken")), Says("When?"), Says("Friday?"))
    path = tmp_path / "call.tests.yaml"
    path.write_text(RecordedCall("call-1", first).written())
    (scenario,) = read_test_file(path).scenarios
    tools = [fixed_tool(name, answers) for name, answers in scenario.tools.items()]
    again = await held(a_world(), Says("When?"), Says("Friday?"), tools=tools)

    results = [[row.data["result"] for row in rows if row.type == "agent.tool_finished"] for rows in (first, again)]
    assert results[0] == results[1]


async def test_a_call_without_a_word_is_no_test() -> None:
    rows = await held(World(), Silent(1.0))
    with pytest.raises(ValueError, match="said nothing"):
        RecordedCall("call-1", rows)
