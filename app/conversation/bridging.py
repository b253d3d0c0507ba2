"""Bridges the wait for an answer with prepared lines; :mod:`app.conversation.waiting` says which and when."""

from app.conversation.commands import SayMeanwhile
from app.conversation.deadlines import Deadline
from app.conversation.events import AgentToolCalled
from app.conversation.patience import asks_whether_there, is_patient
from app.conversation.state import CallState
from app.conversation.turns import Utterance, UtteranceKind
from app.conversation.waiting import AwaitedTool, Wait

_NOT_OVER_SOUND_SECONDS = 0.5


def await_answer(call: CallState, late_t: float) -> None:
    """A turn was taken. Its answer is late from ``late_t`` on."""
    call.wait = Wait(late_t)
    schedule_line(call)


def await_tool(call: CallState, utterance: Utterance, event: AgentToolCalled) -> None:
    """Note that the answer waits for a tool."""
    ends_t = call.now + event.timeout_seconds
    tool = AwaitedTool(event.id, event.line, event.line_after_seconds, call.now, ends_t)
    call.wait.begin_tool(tool, call.policy, call.lines, is_heard=call.floor.line is not None)
    if utterance.started:
        call.expect_progress(utterance)
    if tool.lines == 0 and tool.patience_seconds <= 0:
        say_due_line(call)
    else:
        schedule_line(call)


def tool_finished(call: CallState, tool_id: str) -> None:
    """Note that a tool has its result. The answer after it has the whole time of an answer again."""
    if call.wait.end_tool(tool_id, call.now, call.policy):
        if Deadline.REPLY in call.deadlines:
            call.due_in(Deadline.REPLY, call.policy.reply_seconds)
        schedule_line(call)


def line_ended(call: CallState) -> None:
    """Note that the caller has heard a line."""
    call.wait.last_line_t = call.now
    schedule_line(call)


def schedule_line(call: CallState) -> None:
    """Set the time of the next line, if there is one to say."""
    reply = call.floor.reply
    call.deadlines.clear(Deadline.FILLER)
    if reply is None or reply.preemptive or call.wait.next_line(call.lines) is None:
        return
    due_t = call.wait.due_t(call.policy, has_begun=reply.started)
    if due_t is not None:
        call.deadlines.set(Deadline.FILLER, max(call.now, due_t))


def is_about_waiting(call: CallState, text: str, *, is_whole: bool = True) -> bool:
    """Whether the caller's words are about the wait, and they still want the answer: "okay, I'll wait", "hello?"."""
    reply = call.floor.reply
    return reply is not None and not reply.preemptive and call.wait.is_bridged and is_patient(text, is_whole=is_whole)


def reassure(call: CallState, text: str) -> None:
    """Words about the wait were passed over. If they ask whether anybody is there, say the next line now."""
    reply = call.floor.reply
    waits = reply is not None and (not reply.started or call.wait.tool is not None)
    if waits and asks_whether_there(text) and call.wait.next_line(call.lines) is not None:
        call.deadlines.set(Deadline.FILLER, call.now)


def say_due_line(call: CallState) -> None:
    """Say the line that is due, unless something is being said or the caller makes a sound."""
    reply, line = call.floor.reply, call.wait.next_line(call.lines)
    if reply is None or reply.preemptive or line is None or (reply.started and call.wait.tool is None):
        return
    if call.floor.line is not None:
        if call.wait.tool is not None:
            call.wait.tool.lines = max(1, call.wait.tool.lines)
            schedule_line(call)
        return
    if call.sound or reply.paused:
        call.due_in(Deadline.FILLER, _NOT_OVER_SOUND_SECONDS)
        return
    call.wait.say(line, call.now)
    if reply.started:
        call.commands.append(SayMeanwhile(reply.number, line))
        schedule_line(call)
    else:
        call.say(UtteranceKind.FILLER, line, turn=reply.turn)
