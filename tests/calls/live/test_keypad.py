"""A key for a tool: it is run without the model, and the model tells the caller the result."""

from dataclasses import replace

from app.conversation.policy import KeyMeaning
from tests.calls.fakes import AGENT, World, live_call
from tests.calls.far_end import FarEnd
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

VIRTUAL_TIME = True

TOMORROW = "Tomorrow at ten is free."
POLICY = replace(AGENT.policy, keypad=(KeyMeaning("2", tool="find_times", arguments='{"day": "tomorrow"}'),))


async def test_a_key_runs_its_tool_with_its_arguments_and_the_model_tells_the_result() -> None:
    tool = ScriptedTool(seconds=1.0)
    model = ScriptedModel(Answer(TOMORROW))
    world = World(model=model, agent=replace(AGENT, policy=POLICY))
    world.has_tool(tool)

    async with live_call(world, FarEnd()) as call:
        call.body.press("2")
        await call.until("agent.finished", heard=TOMORROW)

    assert [arguments for _id, arguments in tool.asked] == [{"day": "tomorrow"}]
    (called,) = call.rows_of("agent.tool_called")
    assert (called.data["name"], called.data["line"]) == ("find_times", tool.waiting_phrase)
    (asked,) = model.asked
    assert [message.role for message in asked[-2:]] == ["assistant", "tool"]
    assert call.turns()[-2:] == [("user", "[keypad] 2"), ("assistant", TOMORROW)]
