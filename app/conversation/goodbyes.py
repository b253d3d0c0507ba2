"""When a call ends because both sides have said goodbye, although the model has not hung up.

::

    agent  "Goodbye!"      caller "Bye!"       one exchange
    agent  "Take care!"    caller "Bye bye!"   the second one: the line closes, with nothing more to say

If the caller interrupts a goodbye after which the agent meant to hang up, their words decide: "uh-huh, thanks, bye"
closes the line, and a new question does not.
"""

from app.conversation.farewells import is_farewell, is_thanks, says_farewell
from app.conversation.questions import Asked, what_was_asked
from app.conversation.state import HUNG_UP, CallState
from app.conversation.turns import Utterance, UtteranceKind

_EXCHANGES = 2
"""After this many exchanges, the line closes."""


def turn_closes(call: CallState, turn: int, text: str) -> bool:
    """Take note of the caller's turn. True if it has closed the line, or if a prepared goodbye answers it."""
    farewells = call.farewells
    farewells.callers_turn = turn if is_farewell(text) else None
    for utterance in call.floor.live:
        if not utterance.preemptive:
            call.stop(utterance)  # the turn stops it anyway; what it was about to do must be known now
    interrupted, farewells.interrupted = farewells.interrupted, None
    if not is_farewell(text):
        polite = is_thanks(text) and (interrupted is not None or farewells.exchanges > 0)
        if not polite:
            farewells.forget()
        farewells.last_turn = turn if polite else None
        return False
    farewells.note_caller()
    if farewells.exchanges >= _EXCHANGES or (interrupted is not None and says_farewell(interrupted)):
        call.end(HUNG_UP)
        return True
    if interrupted is not None:
        call.stop_all()
        call.say(UtteranceKind.GOODBYE, call.lines.goodbye, turn=turn, ends_call=HUNG_UP)
        return True
    return False


def utterance_closes(call: CallState, utterance: Utterance, heard: str) -> bool:
    """Take note of what the agent has said; True if that has closed the line."""
    farewells = call.farewells
    if utterance.kind is not UtteranceKind.REPLY:
        return False
    if what_was_asked(heard) is not Asked.NOTHING:
        farewells.forget()
        return False
    farewells.note_agent(utterance.number, heard)
    is_last = farewells.exchanges >= _EXCHANGES or farewells.last_turn == utterance.turn
    if not is_last or _more_is_to_come(call):
        return False
    call.end(HUNG_UP)
    return True


def waits_for_last_words(call: CallState, utterance: Utterance) -> bool:
    """Whether the line must not close yet after the goodbye, because somebody has more to say."""
    if utterance.ends_call == HUNG_UP and _more_is_to_come(call):
        call.note_goodbye_of(utterance)
        return True
    return False


def silence_closes(call: CallState) -> bool:
    """Whether the silence after a goodbye has closed the line. Then nobody asks whether the caller is still there."""
    if not call.farewells.are_due:
        return False
    call.end(HUNG_UP)
    return True


def _more_is_to_come(call: CallState) -> bool:
    """Whether the caller begins to speak, or an operator's line is next."""
    begins = call.sound and call.now - call.sound_since_t <= call.policy.false_interruption_timeout
    return begins or bool(call.say_requests)
