"""Tools whose result an answer waits for: when they are run, and what the caller hears meanwhile."""

from app.conversation.commands import RunTool
from app.conversation.deadlines import Deadline
from app.conversation.events import AgentToolCalled
from app.conversation.state import CallState
from app.conversation.turns import Utterance, UtteranceKind

_NO_LINE_OVER_SOUND_SECONDS = 0.5


def want_tool(call: CallState, speech: Utterance, event: AgentToolCalled) -> None:
    """The model has called it: run it, but for a suspected turn not before it is certain that the turn is over."""
    if speech.kind is not UtteranceKind.REPLY:
        return
    if speech.speculative:
        speech.tools.append(event)
    else:
        _run(call, speech, event)


def run_wanted_tools(call: CallState) -> None:
    """The caller's turn is over."""
    reply = call.floor.reply
    if reply is not None and not reply.speculative:
        wanted, reply.tools = reply.tools, []
        for event in wanted:
            _run(call, reply, event)


def _run(call: CallState, speech: Utterance, event: AgentToolCalled) -> None:
    call.history.tool_called(speech.turn, event.id, event.name, event.arguments)
    call.commands.append(RunTool(speech.turn, speech.number, event.id))
    if speech.started:
        call.expect_progress(speech, beside_seconds=event.timeout_seconds)
        return
    call.due_in(Deadline.REPLY, call.policy.reply_seconds + event.timeout_seconds)
    if event.line is None or call.floor.line is not None:
        return
    if call.sound:
        call.due_in(Deadline.FILLER, _NO_LINE_OVER_SOUND_SECONDS)
    else:
        call.say(UtteranceKind.FILLER, event.line, turn=speech.turn)
