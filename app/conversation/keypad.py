"""What the keys of the telephone mean where the agent gives them a meaning.

::

    the caller presses one key --> it is in the menu --> a line, a tool with the model's answer, or a transfer
                               `-> it is not, or the agent has asked for a number, or more keys follow --> the model
"""

from app.conversation.deadlines import Deadline
from app.conversation.expected_answers import AnswerKind, expected_answer
from app.conversation.opening import awaits_consent
from app.conversation.policy import KeyMeaning
from app.conversation.state import CallState
from app.conversation.turns import UtteranceKind


def meaning_of(call: CallState, keys: str) -> KeyMeaning | None:
    """What these keys mean. None for keys that the model must understand, that answer the question for consent, or that
    are part of a message."""
    if call.message is not None or awaits_consent(call):
        return None
    has_asked = call.agent_said == call.agent_asked and expected_answer(call.agent_said).kind is AnswerKind.NUMBER
    return None if has_asked else next((each for each in call.policy.keypad if each.key == keys), None)


def hold_off_the_end(call: CallState) -> None:
    """A caller who cannot be heard uses the keys: give them time for more."""
    if Deadline.STT_OUTAGE in call.deadlines:
        call.due_in(Deadline.STT_OUTAGE, call.policy.stt_give_up_seconds)


def carry_out(call: CallState, turn: int, meaning: KeyMeaning) -> bool:
    """Say the line of a key, or transfer the caller. False for a key whose tool is to be run within an answer."""
    if meaning.tool is not None:
        return False
    call.stop_all()
    if meaning.transfers_to is not None:
        call.say(UtteranceKind.TRANSFER, call.lines.transfer, turn=turn, transfers_to=meaning.transfers_to)
        return True
    index = call.policy.keypad.index(meaning)
    texts = call.lines.keypad_texts
    call.say(UtteranceKind.PROMPT, texts[index] if index < len(texts) else call.lines.repeat, turn=turn)
    return True
