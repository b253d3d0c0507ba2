"""Calls in which the model uses a tool of the agent's own."""

from typing import Any

from app.models import Message
from tests.calls.fakes import LiveCall, World
from tests.calls.far_end import TELEPHONE
from tests.calls.vendors import Answer, ScriptedModel, ScriptedTool

FREE = '{"times": ["10:00"]}'
ASKS = Answer(tool="find_times", arguments='{"day": "2026-11-27"}')
TELLS = Answer("Ten o'clock is free.")
CHECKS = Answer("Let me check that.", tool="find_times")


async def a_world(*answers: Answer, tools: tuple[ScriptedTool, ...] = (), **tool: Any) -> tuple[World, ScriptedTool]:
    """Its lines are ready as sound."""
    world = World(model=ScriptedModel(*answers))
    made = tools or (ScriptedTool(**tool),)
    for each in made:
        world.has_tool(each)
    await world.prepare_phrases(TELEPHONE)
    await world.phrases.prepare(
        [each.waiting_phrase for each in made if each.waiting_phrase], world.agent.voice("en", TELEPHONE), world.voice
    )
    return world, made[0]


def kinds(call: LiveCall) -> list[str]:
    return [row.data["kind"] for row in call.rows_of("agent.reply_started")]


def lines_said(call: LiveCall) -> list[str]:
    """Of fillers."""
    fillers = {row.data["speech"] for row in call.rows_of("agent.reply_started") if row.data["kind"] == "filler"}
    return [row.data["generated"] for row in call.rows_of("agent.finished") if row.data["speech"] in fillers]


def exchange(messages: list[Message]) -> list[tuple[str, Any, str]]:
    """What the model was shown of tools: role, id, and what was called or given."""
    shown: list[tuple[str, Any, str]] = []
    for message in messages:
        metadata = message.metadata or {}
        shown += [(message.role, each["id"], each["arguments"]) for each in metadata.get("tool_calls", ())]
        if message.role == "tool":
            shown.append(("tool", metadata["tool_call_id"], message.content))
    return shown


async def asks(call: LiveCall, finished: int) -> None:
    call.says("Is there a time on Friday?")
    await call.until("agent.finished", finished)
