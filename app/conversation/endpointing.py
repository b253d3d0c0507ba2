"""When the caller's turn is over: by what the agent has asked, and by how complete the words are.

Speech to text decides by the sound and by the words. The core knows what it has asked, and helps it twice. It sets the
recogniser's patience for the turn, where the vendor can be told. And it has its own say about the end: it ends the turn
at once when all that was asked for is there, and it waits for more when the words stop in the middle, whoever says
that the turn has ended. So it also works with a vendor whose patience cannot be changed during a call.
"""

from app.conversation.commands import SetPatience
from app.conversation.completeness import Completeness, completeness
from app.conversation.deadlines import Deadline
from app.conversation.expected_answers import AnswerKind, ExpectedAnswer, expected_answer
from app.conversation.phases import CallPhase
from app.conversation.state import CallState
from app.models import Patience

_BEFORE_WORDS = {
    AnswerKind.YES_NO: Patience.QUICK,
    AnswerKind.NUMBER: Patience.PATIENT,
    AnswerKind.NAME: Patience.PATIENT,
    AnswerKind.ADDRESS: Patience.PATIENT,
}
_AFTER_WORDS = {
    Completeness.WHOLE: Patience.QUICK,
    Completeness.DICTATING: Patience.PATIENT,
    Completeness.UNFINISHED: Patience.PATIENT,
}
_WORDS_AFTER_SOUND_SECONDS = 1.0
"""How long speech to text may take for the words of a sound that is over."""


class Endpointing:
    """Decides how long to wait for more of the caller's words."""

    def __init__(self, state_of_call: CallState) -> None:
        self._call = state_of_call
        self._patience = Patience.NORMAL

    def follow(self) -> None:
        """Set the recogniser's patience for the caller's turn, if it has to change."""
        wanted = self._wanted_patience()
        if wanted is not None and wanted is not self._patience:
            self._patience = wanted
            self._call.commands.append(SetPatience(wanted))

    def completeness(self, text: str) -> Completeness:
        """How complete the caller's words are, after what the agent has said last."""
        return completeness(text, self._expected())

    def missing_silence(self, text: str, last_voiced_t: float | None) -> float:
        """How many seconds of silence are missing before these words are the whole turn; 0 or less for none."""
        call = self._call
        needed = {
            Completeness.DICTATING: call.policy.dictation_pause_seconds,
            Completeness.UNFINISHED: call.policy.unfinished_pause_seconds,
        }.get(self.completeness(text), 0.0)
        return needed - (call.now - (call.now if last_voiced_t is None else last_voiced_t))

    def end_at_once_if_whole(self) -> None:
        """End the turn after a short silence when all that was asked for has been said.

        The silence is the detector's. A caller whose sound it has not noticed ends the turn as the recogniser says.
        """
        call, caller = self._call, self._call.caller
        if caller is None or caller.ended is not None:
            return
        is_noticed = (
            call.last_voiced_t > caller.started_t and call.now - call.last_voiced_t <= _WORDS_AFTER_SOUND_SECONDS
        )
        is_sure = caller.confidence is None or caller.confidence >= call.policy.min_confidence
        if is_noticed and is_sure and not call.sound and self.completeness(caller.text) is Completeness.WHOLE:
            call.deadlines.set(Deadline.PAUSE, max(call.now, call.last_voiced_t + call.policy.whole_pause_seconds))
        else:
            call.deadlines.clear(Deadline.PAUSE)

    def _wanted_patience(self) -> Patience | None:
        """None while no turn of the caller is open or expected: then everything stays as it is."""
        call = self._call
        if call.phase is not CallPhase.TALKING or not call.policy.speaks:
            return None
        if call.caller is not None:
            return _AFTER_WORDS.get(self.completeness(call.caller.text), Patience.NORMAL)
        utterance = call.floor.audible
        if call.floor.reply_pending or (utterance is not None and not utterance.is_in_last_clause):
            return None
        return _BEFORE_WORDS.get(self._expected().kind, Patience.NORMAL)

    def _expected(self) -> ExpectedAnswer:
        utterance = self._call.floor.audible
        return expected_answer(self._call.agent_said if utterance is None else utterance.said)
