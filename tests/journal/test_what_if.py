"""What another policy would have changed in a call, and when."""

import pytest

from app.calls.text.caller import Interrupts, Says, Silent
from app.journal.what_if import UnknownSetting, what_if
from app.models import JournalRow
from tests.calls.fakes import World
from tests.calls.text.test_session import OPEN, held
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True

QUESTION = "When are you open?"


async def a_silent_call() -> list[JournalRow]:
    """The caller asks, and then says nothing for a while: they are asked once whether they are there."""
    world = World(model=ScriptedModel(Answer(OPEN)))
    return await held(world, Says(QUESTION), Silent(10.0), Says("Thanks"))


def the_prompt(rows: list[JournalRow]) -> JournalRow:
    return next(row for row in rows if row.type == "deadline.passed" and row.data["name"] == "idle")


async def test_the_same_policy_changes_nothing() -> None:
    rows = await a_silent_call()
    assert what_if(rows, {}).moments == ()
    assert what_if(rows, {"idle_prompt_seconds": "8", "max_failures": "3"}).moments == ()


async def test_a_shorter_patience_asks_sooner_by_so_much() -> None:
    rows = await a_silent_call()
    [moment] = what_if(rows, {"idle_prompt_seconds": "5"}).moments

    assert moment.row == the_prompt(rows)
    assert moment.t == pytest.approx(moment.row.t - 3.0, abs=0.01)
    assert moment.now.startswith("idle: says (prompt): ")
    assert moment.then == "3.000 s later"


async def test_a_longer_patience_does_not_ask_at_that_time() -> None:
    rows = await a_silent_call()
    [moment] = what_if(rows, {"idle_prompt_seconds": "20"}).moments

    assert moment.t == the_prompt(rows).t
    assert moment.now == f"not before {moment.t + 12:.3f} s"
    assert moment.then.startswith("idle: says (prompt): ")


async def test_what_would_have_come_where_the_caller_spoke_first_is_told_too() -> None:
    rows = await held(World(model=ScriptedModel(Answer(OPEN))), Says(QUESTION), Silent(5.0), Says("Thanks"))
    [moment] = what_if(rows, {"idle_prompt_seconds": "4"}).moments

    assert moment.row.type == "caller.sound_started"
    assert moment.then == f"not before caller.sound_started at {moment.row.t:.3f} s"


async def test_where_something_else_is_said_the_comparison_ends() -> None:
    rows = await held(World(model=ScriptedModel(Answer(OPEN))), Says(QUESTION), Interrupts("Stop, please", 1.0))
    found = what_if(rows, {"speaks": "false"})

    assert found.parts_at is not None
    assert found.moments[-1].t == found.parts_at
    assert "says (greeting)" in found.moments[-1].then


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("idle", "5", "policy.idle: is not known; there are asks_consent, "),
        ("lines", "5", "policy.lines: is not known"),
        ("idle_prompts", "2.5", "policy.idle_prompts: 2.5 is not a whole number"),
        ("idle_prompt_seconds", "soon", "policy.idle_prompt_seconds: soon is not a number"),
        ("idle_prompt_seconds", "-1", "policy.idle_prompt_seconds: -1 is not a number"),
        ("speaks", "5", "policy.speaks: 5 is not true or false"),
    ],
)
async def test_a_setting_that_does_not_exist_is_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(UnknownSetting, match=told.replace(".", r"\.")):
        what_if(await a_silent_call(), {name: value})
