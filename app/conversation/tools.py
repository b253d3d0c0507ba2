"""The tools that the model calls: when they are run, and what the built-in ones do."""

import json
import re
from typing import Any

from app.conversation.bridging import await_tool
from app.conversation.commands import RunTool
from app.conversation.deadlines import Deadline
from app.conversation.events import AgentToolCalled
from app.conversation.state import HUNG_UP, CallState
from app.conversation.turns import Utterance, UtteranceKind

DIGITS_MAX = 32
"""The most keys of one utterance; further ones are dropped."""
_NO_KEY = re.compile(r"[^0-9*#A-Dw]")


def want_tool(call: CallState, utterance: Utterance, event: AgentToolCalled) -> None:
    """Run the tool that the model has called; in a preemptive reply, only once the turn is certainly over."""
    if utterance.kind is not UtteranceKind.REPLY:
        return
    if utterance.preemptive:
        utterance.tools.append(event)
    else:
        _run(call, utterance, event)


def run_wanted_tools(call: CallState) -> None:
    """The caller's turn is over: run the tools that the reply has called so far."""
    reply = call.floor.reply
    if reply is not None and not reply.preemptive:
        wanted, reply.tools = reply.tools, []
        for event in wanted:
            _run(call, reply, event)


def _run(call: CallState, utterance: Utterance, event: AgentToolCalled) -> None:
    call.history.tool_called(utterance.turn, event.id, event.name, event.arguments)
    call.commands.append(RunTool(utterance.turn, utterance.number, event.id))
    call.progress.moved()
    if not utterance.started:
        call.due_in(Deadline.REPLY, call.policy.reply_seconds + event.timeout_seconds)
    await_tool(call, utterance, event)


def note_tool_call(utterance: Utterance, event: AgentToolCalled) -> None:
    """Note what to do after the last word of the utterance. Other tools do nothing here."""
    match event.name:
        case "end_call":
            utterance.ends_call = HUNG_UP
        case "transfer":
            utterance.transfers_to = _text(event.arguments, "target")
        case "send_dtmf":
            keys = _NO_KEY.sub("", _text(event.arguments, "digits").upper().replace("W", "w"))
            utterance.digits = (utterance.digits + keys)[:DIGITS_MAX]
        case _:
            return


def forget_tool_calls(utterance: Utterance) -> None:
    """The model writes the answer again: forget the tools that it called before."""
    utterance.ends_call, utterance.transfers_to, utterance.digits = None, None, ""
    utterance.tools.clear()


def _text(arguments: str, name: str) -> str:
    """One string of the arguments that a model wrote; empty if it is missing, not a string, or not in a JSON object."""
    try:
        values: Any = json.loads(arguments)
    except ValueError:
        return ""
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""
