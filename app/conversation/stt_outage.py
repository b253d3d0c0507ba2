"""Speech to text is gone: the caller is told, keys stand in for words, and at last somebody else helps.

::

    lost ──► 3 s, or less if the caller has spoken and waits ──► "I can't hear you", at the first gap in the speech
      |                                                            | keys, and what the agent says, put off the end
      `──► restored: the call goes on                              `──► a human, a message, or the end of the call

A caller who has fallen silent waits for an answer: they are told before they have waited for two seconds, but not while
another recogniser is probably about to report their words.
"""

from app.conversation.deadlines import Deadline
from app.conversation.phases import CallPhase
from app.conversation.state import CallState
from app.conversation.unserved import can_be_helped, give_up

_WAITS_SECONDS = 1.65
"""How long a caller who has spoken waits, in silence, until they are told."""
_REPLACED_SECONDS = 0.2
"""How long after the loss that is for another recogniser. A silent one has rivals long before it counts as lost."""
_REPORTED_SECONDS = 0.4
"""Within this time, a recogniser that works again reports the words of an open turn."""
_ANSWERED_SECONDS = 1.8
"""How long after their last sound a caller waits for those words."""
SPEECH_SECONDS = 0.4
"""A shorter sound of the caller is probably no words."""


def stt_lost(call: CallState, *, final: bool) -> None:
    """Speech to text failed. A call whose agent does not speak goes on, because it is still recorded."""
    if not call.stt_is_gone:
        call.stt_lost_t = call.now
    call.stt_is_gone = True
    if not call.policy.speaks or call.phase is CallPhase.CLOSING:
        return
    if final and call.phase in (CallPhase.RINGING, CallPhase.TRANSFERRING):
        call.stt_failed = True
    elif call.message is not None:
        return
    elif final and not call.policy.keypad and can_be_helped(call):
        give_up(call)
    elif final and call.stt_outage_notice != "given":
        _tell(call)
    elif Deadline.STT_OUTAGE not in call.deadlines:
        call.due_in(Deadline.STT_OUTAGE, call.policy.stt_outage_seconds)
        if _waits_for_answer(call):
            _tell_sooner(call)


def stt_restored(call: CallState) -> None:
    """Speech to text works again; what was said meanwhile is heard late, so an open turn gets time for it.

    Who was told that they are not heard may say it again. Nobody else waits longer for the answer than they must.
    """
    if call.stt_is_gone and Deadline.PAUSE in call.deadlines:
        seconds = call.policy.unfinished_pause_seconds
        if call.stt_outage_notice != "given":
            seconds = max(_REPORTED_SECONDS, call.last_voiced_t + _ANSWERED_SECONDS - call.now)
        call.due_in(Deadline.PAUSE, seconds)
    call.stt_is_gone = False
    call.stt_outage_notice = "none"
    call.deadlines.clear(Deadline.STT_OUTAGE)


def fell_silent(call: CallState) -> None:
    """The caller has stopped making a sound. If nothing has heard what they said, they wait for an answer to it."""
    is_told = call.stt_outage_notice != "none" or Deadline.STT_OUTAGE not in call.deadlines
    if call.stt_is_gone and not is_told and _waits_for_answer(call):
        _tell_sooner(call)


def stt_outage_is_due(call: CallState) -> None:
    """Speech to text has been gone for too long: say so at the first gap in the agent's speech; later, give up."""
    if call.phase in (CallPhase.RINGING, CallPhase.TRANSFERRING):
        call.due_in(Deadline.STT_OUTAGE, call.policy.stt_outage_seconds)
    elif call.stt_outage_notice == "given":
        _nobody_hears(call)
    else:
        _tell(call)


def _waits_for_answer(call: CallState) -> bool:
    """Whether the caller has said something that the agent has not answered, and is silent now."""
    if call.sound or any(not utterance.preemptive for utterance in call.floor.live):
        return False
    is_unheard = call.last_voiced_t > max(call.agent_ended_t, call.taken_until_t)
    return call.caller is not None or (is_unheard and call.last_voiced_t - call.sound_since_t >= SPEECH_SECONDS)


def _tell_sooner(call: CallState) -> None:
    latest = call.stt_lost_t + call.policy.stt_outage_seconds
    at = min(latest, max(call.last_voiced_t + _WAITS_SECONDS, call.stt_lost_t + _REPLACED_SECONDS))
    call.due_in(Deadline.STT_OUTAGE, max(0.0, at - call.now))


def _tell(call: CallState) -> None:
    """Say that the caller cannot be heard, now or at the first gap."""
    call.stt_outage_notice = "due"
    if not call.announce_stt_outage():
        call.due_in(Deadline.STT_OUTAGE, call.policy.stt_outage_seconds)


def _nobody_hears(call: CallState) -> None:
    """The caller could use the keypad for a while. Keys, and what the agent says meanwhile, hold off the end."""
    if Deadline.DIGITS in call.deadlines or any(not utterance.preemptive for utterance in call.floor.live):
        call.due_in(Deadline.STT_OUTAGE, call.policy.stt_give_up_seconds)
    else:
        give_up(call)
