"""The outcome of a tool that finished when no answer waited for it any more.

A caller who talks about something else while a booking runs gets an answer to that. The booking runs on. When it has
finished, and nobody is speaking, the agent tells the caller what came of it, without waiting for a question.
"""

from app.conversation.deadlines import Deadline
from app.conversation.events import AgentToolFinished
from app.conversation.phases import CallPhase
from app.conversation.state import CallState
from app.conversation.turns import Utterance
from app.conversation.waiting import Wait
from app.models import ConversationState

_TELL = "A tool that was running has finished. Tell the caller now, in one sentence, what came of it."


def note_outcome(call: CallState, event: AgentToolFinished) -> None:
    """Note that a tool has finished. It is no news if an answer waits for it, or if it was given up."""
    if not event.given_up and call.floor.find(event.speech) is None:
        call.tool_news = call.floor.last_number


def note_told(call: CallState, answer: Utterance) -> None:
    """Note that an answer begins. If it was requested after the tool had finished, the model knew the outcome."""
    if call.tool_news is not None and answer.number > call.tool_news:
        call.tool_news = None


def tell_outcome(call: CallState) -> bool:
    """Have the agent tell the outcome, if there is one to tell and nobody speaks. Returns whether it does."""
    is_busy = call.floor.live or call.caller is not None or call.sound or Deadline.DIGITS in call.deadlines
    comes_later = call.say_requests or call.transfer_request is not None or call.stt_outage_notice == "due"
    is_over = call.phase is not CallPhase.TALKING or call.message is not None
    if call.tool_news is None or is_busy or comes_later or call.held or is_over:
        return False
    call.tool_news = None
    call.turn += 1
    call.history.add(call.turn, "system", _TELL)
    call.wait = Wait(call.now + call.policy.reply_seconds)
    call.deadlines.clear(Deadline.IDLE)
    call.due_in(Deadline.REPLY, call.policy.reply_seconds)
    call.start_reply(call.turn, "", preemptive=False)
    call.enter(ConversationState.PROCESSING)
    return True
