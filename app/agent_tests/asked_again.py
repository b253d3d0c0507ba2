"""Asks a model again for each answer of a call: with another prompt or model, but what was said before it as it was.

So each answer is compared alone, and one that is different changes none that follows.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.agent_tests.running import CallNotHeld
from app.calls.agent.plan import CallPlan
from app.calls.agent.tools import Toolbox, built_in_tools
from app.calls.live.dialogue import DialogueManager
from app.conversation import commands as cmd
from app.conversation import events as ev
from app.journal.comparison import Compared, Exchange, exchanges, sorted_arguments
from app.journal.readable_rows import is_readable
from app.journal.replay import core_of, created_of, is_decision
from app.models import CallContext, JournalRow, Message
from app.ports.streams import TextDelta, ToolCall, ToolSpec, text_after
from app.wiring_text import TextPlan

_ROUNDS_MAX = 5
"""Calls of tools in one answer."""


@dataclass(slots=True)
class _Answer:
    text: str = ""
    first_seconds: float | None = None
    """From the request to the first word, or the first call of a tool."""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the model was asked for in the call."""

    turn: int
    messages: list[Message]
    tools: dict[tuple[str, str], str]
    """Results of the tools of this turn, by name and arguments."""


async def asked_again(rows: Sequence[JournalRow], planned: TextPlan) -> list[Compared]:
    """Each exchange of the call, beside what the model of the plan answers now.

    The times are those from the request to the model's first word. Raises CallNotHeld, ProviderError, and ValueError
    for a journal without a beginning.
    """
    plan, call = planned.plan, planned.call
    then = [each.in_text() for each in exchanges(rows, of_model=True)]
    asked = {each.turn: each for each in _requests(rows, plan, call)}
    numbers = [row.turn or 0 for row in rows if row.type == "turn.taken"]
    result = [Compared(1, then[0], then[0])]
    for number, (turn, before) in enumerate(zip(numbers, then[1:], strict=False), 2):
        now = before if turn not in asked else await _exchange(asked[turn], before, plan, call)
        result.append(Compared(number, before, now))
    if not asked:
        raise CallNotHeld("the model was asked for nothing in this call")
    return result


async def _exchange(asked: _Asked, before: Exchange, plan: CallPlan, call: CallContext) -> Exchange:
    specs = Toolbox(built_in_tools(plan.transfer_targets, presses_keys=True), plan.agent.tools).specs
    messages, said, used, first = list(asked.messages), [], [], None
    for _ in range(_ROUNDS_MAX):
        answer = await _answer(messages, plan, call, specs)
        first = answer.first_seconds if first is None else first
        said.append(answer.text.strip())
        used += [f"{each.name} {sorted_arguments(each.arguments)}" for each in answer.calls]
        results = [asked.tools.get((each.name, sorted_arguments(each.arguments))) for each in answer.calls]
        if not answer.calls or None in results:
            break
        for made, result in zip(answer.calls, results, strict=True):
            called = {"id": made.id, "name": made.name, "arguments": made.arguments}
            messages.append(Message("assistant", "", metadata={"tool_calls": [called]}))
            messages.append(Message("tool", str(result), metadata={"tool_call_id": made.id}))
    seconds = None if first is None else round(first, 3)
    return Exchange(before.caller, " ".join(filter(None, said)), seconds, seconds, tuple(used), before.interrupted)


async def _answer(messages: list[Message], plan: CallPlan, call: CallContext, specs: Sequence[ToolSpec]) -> _Answer:
    loop = asyncio.get_running_loop()
    began, answer = loop.time(), _Answer()
    async for event in plan.llm.stream_reply(messages, tools=specs, call_id=call.call_id):
        answer.text = text_after(answer.text, event)
        if isinstance(event, ToolCall):
            answer.calls = (*answer.calls, event)
        if answer.first_seconds is None and isinstance(event, TextDelta | ToolCall):
            answer.first_seconds = loop.time() - began
    return answer


def _requests(rows: Sequence[JournalRow], plan: CallPlan, call: CallContext) -> list[_Asked]:
    """What the model was asked in each turn that it answered, with the prompt of the plan."""
    core = core_of(created_of(rows))
    dialogue = DialogueManager(model=plan.llm, context=call, prompt=plan.prompt, history=core.history)
    tools = _results(rows)
    found: dict[int, _Asked] = {}
    for row in rows:
        event = ev.from_row(row) if is_readable(row) else None
        if event is None or is_decision(event):
            continue
        for command in core.handle(event, row.t):
            if isinstance(command, cmd.StartReply) and command.tool is None:
                pending = command.text if command.preemptive and command.text else None
                messages = dialogue.messages(command.language, pending)
                found[command.turn] = _Asked(command.turn, messages, tools.get(command.turn, {}))
    return list(found.values())


def _results(rows: Sequence[JournalRow]) -> dict[int, dict[tuple[str, str], str]]:
    """What the tools answered, by turn, and by name and arguments."""
    called = {row.data["id"]: row for row in rows if row.type == "agent.tool_called"}
    results: dict[int, dict[tuple[str, str], str]] = {}
    for row in rows:
        call = called.get(row.data.get("id")) if row.type == "agent.tool_finished" else None
        if call is not None:
            key = (call.data["name"], sorted_arguments(call.data["arguments"]))
            results.setdefault(call.turn or 0, {})[key] = row.data["result"]
    return results
