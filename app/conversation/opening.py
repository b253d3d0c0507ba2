"""How a call opens: the disclosure, the question whether it may be recorded, and the greeting.

::

    answered ──► disclosure and notice ──► "May we record this call?" ──► yes: it is recorded; the greeting
                 nothing cuts them         no, 2: a line says that it     nothing clear: the question once more, then
                                           is not; the greeting           as for no

Each part is left out when the agent has none. A caller who answers the question and asks for something gets an answer
to that in place of the greeting. So does one who has asked for something during the disclosure.
"""

from typing import Literal

from app.conversation.bridging import await_answer
from app.conversation.commands import Record, StartRecording
from app.conversation.consent import agrees, asks_for_more
from app.conversation.deadlines import Deadline
from app.conversation.farewells import is_farewell
from app.conversation.notices import unheard_statements
from app.conversation.opening_events import ConsentAnswered
from app.conversation.state import CallState
from app.conversation.turns import UtteranceKind
from app.models import ConversationState

_TIMES_ASKED = 2


def open_call(call: CallState) -> None:
    """Begin to speak: the call is answered, or the disclosure was not heard and comes again."""
    if call.lines.opening:
        call.say(UtteranceKind.DISCLOSURE, call.lines.opening, interruptible=False)
    else:
        ask_or_greet(call)


def ask_or_greet(call: CallState) -> None:
    """Ask whether the call may be recorded, or greet the caller when that is settled."""
    if call.policy.asks_consent and not call.consent.is_settled:
        _ask(call)
    elif call.early_words:
        _answer_early_words(call)
    else:
        call.floor.unheard_greeting = ""
        call.say(UtteranceKind.GREETING, call.lines.greeting)


def _answer_early_words(call: CallState) -> None:
    """Answer what the caller said during the disclosure. They have waited long enough to hear no whole greeting."""
    text, call.early_words = call.early_words, ""
    call.floor.unheard_greeting = unheard_statements(call.lines.greeting, "")
    call.answer(call.turn, text)
    call.say_unheard_greeting(call.turn)
    await_answer(call, call.now + call.policy.max_response_seconds - call.policy.filler_lead_seconds)
    call.due_in(Deadline.REPLY, call.policy.reply_seconds)
    call.enter(ConversationState.PROCESSING)


def awaits_consent(call: CallState) -> bool:
    """Whether the caller's next turn answers that question."""
    return call.consent.asked > 0 and not call.consent.is_settled and call.message is None


def take_consent(call: CallState, turn: int, text: str, source: str) -> bool:
    """Take the caller's turn for the answer. Returns whether the turn needs no other answer."""
    agreed = agrees(text)
    if agreed is None and call.consent.asked < _TIMES_ASKED and not is_farewell(text):
        _ask(call)
        return True
    how: Literal["keypad", "speech", "unclear"] = "keypad" if source == "keypad" else "speech"
    _settle(call, agreed=agreed is True, how="unclear" if agreed is None else how, turn=turn)
    call.floor.unheard_greeting = unheard_statements(call.lines.greeting, "")
    if agreed is None or asks_for_more(text, agreed=agreed):
        return False
    call.stop_all()
    call.enter(ConversationState.LISTENING)
    if agreed:
        ask_or_greet(call)
    else:
        call.say(UtteranceKind.CONSENT, call.lines.not_recorded)
    return True


def silence_answers(call: CallState) -> bool:
    """The caller is silent: ask once more, or go on without their consent. Returns whether that was due."""
    if not awaits_consent(call):
        return False
    if call.consent.asked < _TIMES_ASKED:
        _ask(call)
    else:
        _settle(call, agreed=False, how="silence")
        ask_or_greet(call)
    return True


def _ask(call: CallState) -> None:
    call.stop_all()
    call.enter(ConversationState.LISTENING)
    call.consent.asked += 1
    call.say(UtteranceKind.CONSENT, call.lines.consent)


def _settle(
    call: CallState, *, agreed: bool, how: Literal["keypad", "speech", "unclear", "silence"], turn: int | None = None
) -> None:
    call.consent.is_settled = True
    call.commands.append(Record(ConsentAnswered(agreed, how, turn)))
    if agreed:
        call.commands.append(StartRecording())
