"""A call that the agent cannot serve by itself: a human takes it, or the caller leaves a message.

::

    no answer can be given, or the agent cannot hear
      |-- the policy names a human --> "I'm putting you through" --> transferred
      |                                    | the transfer fails
      |<-----------------------------------+
      |-- the policy takes messages --> "Please leave a message" --> words --> "Anything else?" --> message_taken
      |                                                          `-> nothing, twice --+
      '-- neither --------------------------------------------------------------------+-> provider_failure

During a message the conversation is TALKING, but no turn is answered: the caller's words are kept. A pause after the
agent has asked for more, the hash key or a goodbye ends them. While speech to text is gone, the sound of the caller
counts instead of the words, and is transcribed as a recording when the message is over.
"""

from app.conversation import events as ev
from app.conversation.commands import KeepMessage, Record
from app.conversation.deadlines import Deadline
from app.conversation.farewells import is_farewell, is_thanks
from app.conversation.left_message import Message
from app.conversation.phases import CallPhase
from app.conversation.state import CallState
from app.conversation.turns import UtteranceKind

_TAKEN = "message_taken"
_LOST = "provider_failure"
_LOOK_AGAIN_SECONDS = 1.0
_SHORTLY_SECONDS = 0.2
_SPOKEN = ("speech", "timeout")
"""Sources of turns that a recogniser has heard."""
_SOUND_SECONDS_MAX = 30.0
"""A sound without words that lasts longer is noise, and does not keep the message open."""


def give_up(call: CallState, turn: int | None = None) -> None:
    """The agent can do nothing for the caller. ``turn`` is the turn that could not be answered, if there is one."""
    if call.phase is not CallPhase.TALKING or not call.policy.speaks:
        call.close(_LOST, call.lines.failure_goodbye)
        return
    call.is_unserved = True
    if to_human(call, turn):
        return
    if call.message is not None:
        _close(call)
    elif call.policy.takes_messages:
        _ask(call, turn)
    else:
        call.close(_LOST, call.lines.failure_goodbye)


def can_be_helped(call: CallState) -> bool:
    """Whether a human or a message can still help a caller whom the agent cannot serve."""
    return call.policy.takes_messages or (call.policy.fallback_human is not None and not call.human_was_tried)


def to_human(call: CallState, turn: int | None = None) -> bool:
    """Announce the transfer to the human of the policy. False when there is none, or they did not answer before."""
    human = call.policy.fallback_human
    if human is None or call.human_was_tried:
        return False
    call.human_was_tried = True
    call.stop_all()
    call.say(UtteranceKind.TRANSFER, call.lines.unserved, turn=turn, transfers_to=human)
    return True


def after_transfer(call: CallState) -> bool:
    """The human could not be reached. Whether the call goes on with a message, because it cannot be served."""
    if call.message is not None:
        call.say(UtteranceKind.PROMPT, call.lines.message)
    elif call.is_unserved:
        give_up(call)
    return call.is_unserved


def add_turn(call: CallState, text: str, source: str) -> None:
    """Note a turn of the message."""
    message = call.message
    if message is None:
        return
    says_goodbye = is_farewell(text)
    if not (says_goodbye and is_thanks(text)):
        message.turns.append(text)
    message.has_keys |= source == "keypad"
    if says_goodbye or call.now - message.asked_t > call.policy.message_seconds:
        _close(call)
    else:
        _wait_for_more(call, call.last_voiced_t if source in _SPOKEN else call.now)


def add_sound(call: CallState) -> None:
    """Note a sound of the caller that has ended, while nothing hears their words."""
    if call.message is None or not call.stt_is_gone:
        return
    call.message.add_sound(call.sound_since_t, call.last_voiced_t)
    if Deadline.MESSAGE in call.deadlines and (call.message.is_left or not call.message.asked_again):
        _wait_for_more(call, call.last_voiced_t)


def hash_pressed(call: CallState) -> bool:
    """Whether the caller ends a message with the hash key."""
    _count_open_sound(call)
    if call.message is None or not call.message.is_left:
        return False
    _close(call)
    return True


def message_is_due(call: CallState) -> None:
    """The caller has been silent for a while: ask for the message or for more of it, thank them, or give it up."""
    message = call.message
    if message is None or call.floor.live:
        return
    if not _is_speaking(call):
        _count_open_sound(call)
    is_over_time = call.now - message.asked_t > call.policy.message_seconds
    if _is_speaking(call) and not is_over_time:
        call.due_in(Deadline.MESSAGE, _LOOK_AGAIN_SECONDS)
    elif is_over_time:
        _close(call)
    elif message.seems_whole and not message.asked_for_more:
        message.asked_for_more = True
        call.say(UtteranceKind.PROMPT, call.lines.message_more)
    elif not message.seems_whole and not message.asked_again:
        message.asked_again = True
        call.say(UtteranceKind.PROMPT, call.lines.message_again)
    else:
        _close(call)


def reason_to_leave(call: CallState, reason: str) -> str:
    """The end reason of a caller who leaves: who has left a message and hangs up has done what they were asked to."""
    _count_open_sound(call)
    return _TAKEN if reason == "caller_hangup" and call.message is not None and call.message.is_left else reason


def _ask(call: CallState, turn: int | None) -> None:
    call.stop_all()
    call.deadlines.clear(Deadline.STT_OUTAGE)
    call.stt_outage_notice = "given"
    call.message = Message(call.now)
    call.commands += [Record(ev.MessageRequested()), KeepMessage()]
    call.say(UtteranceKind.PROMPT, call.lines.message, turn=turn)


def _close(call: CallState) -> None:
    _count_open_sound(call)
    message = call.message
    if message is not None and message.is_left:
        call.transcribe_message()
        call.close(_TAKEN, call.lines.message_thanks)
    else:
        call.close(_LOST, call.lines.failure_goodbye)


def _wait_for_more(call: CallState, silent_since_t: float) -> None:
    """Ask whether there is more when the caller has been silent for long enough, however late their words came."""
    silent_for = call.now - silent_since_t
    call.due_in(Deadline.MESSAGE, max(_SHORTLY_SECONDS, call.policy.message_pause_seconds - silent_for))


def _count_open_sound(call: CallState) -> None:
    """Count a sound of the caller that has not ended."""
    if call.message is not None and call.stt_is_gone and call.sound:
        call.message.add_sound(call.sound_since_t, call.now)


def _is_speaking(call: CallState) -> bool:
    has_sound = call.sound and call.now - call.sound_since_t < _SOUND_SECONDS_MAX
    return call.caller is not None or call.held or has_sound or Deadline.DIGITS in call.deadlines
