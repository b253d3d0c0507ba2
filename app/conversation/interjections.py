"""An operator's line comes next, even before an answer that is being made, which then waits for the line.

::

    /say ──► something is being said: the line follows it
             nobody speaks, an answer is pending: HoldReply, Say, and ReleaseReply when the line has ended
             nobody speaks: Say
"""

from app.conversation.bridging import line_ended
from app.conversation.commands import HoldReply
from app.conversation.deadlines import Deadline
from app.conversation.phases import CallPhase
from app.conversation.state import CallState, HeldAnswer
from app.conversation.tool_news import tell_outcome
from app.conversation.tools import run_wanted_tools
from app.conversation.turns import Utterance, UtteranceKind
from app.models import ConversationState


def interject(call: CallState) -> bool:
    """Say an operator's next line before the pending answer, unless the agent is speaking. Returns whether it does."""
    reply, line = call.floor.reply, call.floor.line
    is_silent = line is None or (line.kind is UtteranceKind.FILLER and not line.started)
    if not call.say_requests or reply is None or not call.floor.reply_pending or not is_silent:
        return False
    if call.phase is not CallPhase.TALKING or not call.policy.operator_first:
        return False
    reply.preemptive = True
    call.held_answer = HeldAnswer(reply.number, reply.turn, reply.text)
    call.commands.append(HoldReply(reply.number))
    call.deadlines.clear(Deadline.FILLER, Deadline.REPLY)
    call.say(UtteranceKind.SAY, call.say_requests.pop(0))
    return True


def go_on(call: CallState) -> None:
    """The agent has finished: say an operator's next line, then the answer that waits, or let the caller speak.

    Before that, the agent tells what came of a tool for which no answer waited.
    """
    held = call.held_answer
    if held is None or call.floor.line is not None:
        if not tell_outcome(call):
            call.go_on()
    elif call.say_requests:
        call.say(UtteranceKind.SAY, call.say_requests.pop(0))
    else:
        call.held_answer = None
        call.answer(held.turn, held.text)
        call.due_in(Deadline.REPLY, call.policy.reply_seconds)
        line_ended(call)
        call.enter(ConversationState.PROCESSING)
        run_wanted_tools(call)


def note_start(call: CallState, utterance: Utterance) -> None:
    """Note that the answer began before it could be held: the line comes after it."""
    held, line = call.held_answer, call.floor.line
    if held is None or held.speech != utterance.number or not utterance.preemptive:
        return
    utterance.preemptive, call.held_answer = False, None
    if line is not None and line.kind is UtteranceKind.SAY and not line.started:
        call.say_requests.insert(0, line.text)
