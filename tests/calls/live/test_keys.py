"""Keys as they reach a call, from whichever leg; in virtual time."""

import asyncio

import pytest

from tests.calls.fakes import World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel

VIRTUAL_TIME = True


@pytest.mark.parametrize(("apart", "entered"), [(0.02, "[keypad] 5"), (0.18, "[keypad] 55")])
async def test_a_key_that_bounces_is_one_and_a_key_that_is_pressed_twice_is_two(apart: float, entered: str) -> None:
    async with live_call(World(model=ScriptedModel(Answer("Five it is."))), FarEnd()) as call:
        await call.until("agent.finished", 1)
        call.body.press("5")
        await asyncio.sleep(apart)
        call.body.press("5")
        await call.until("agent.finished", 2)

    assert [text for role, text in call.turns() if role == "user"] == [entered]
    assert len(call.rows_of("caller.dtmf")) == len(entered.removeprefix("[keypad] "))
