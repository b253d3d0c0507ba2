"""When the caller's turn is over, judged by what the agent has asked and how complete the words are.

Speech to text decides by the sound and the words. The core also knows what the agent has asked, and uses that twice.
First, it sets the recogniser's patience for the turn, if the vendor supports that. Second, it decides for itself how
much silence must follow the words. When the caller has said all that was asked for, that is next to none. When the
words stop in the middle, it is long, however sure the recogniser is. The second way works with any vendor.
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
_DICTATED = (AnswerKind.NUMBER, AnswerKind.NAME, AnswerKind.ADDRESS)
_AFTER_WORDS = {
    Completeness.WHOLE: Patience.QUICK,
    Completeness.DICTATING: Patience.PATIENT,
    Completeness.UNFINISHED: Patience.PATIENT,
}
_WORDS_AFTER_SOUND_SECONDS = 1.0
"""How long after the end of a sound speech to text usually reports its words."""
_BETWEEN_WORDS_SECONDS = 0.6
"""While somebody speaks, speech to text reports words more often than this."""


class Endpointing:
    """Decides how long to wait for more of the caller's words."""

    def __init__(self, state_of_call: CallState) -> None:
        self._call = state_of_call
        self._patience = Patience.NORMAL
        self._watched = ""
        """The words after which the pause is being watched."""

    def begin_anew(self) -> None:
        """A new recogniser listens, which knows nothing."""
        self._patience, self._watched = Patience.NORMAL, ""

    def follow(self) -> None:
        """Set the recogniser's patience for the caller's turn, if it has to change."""
        wanted = self._wanted_patience()
        if wanted is not None and wanted is not self._patience:
            self._patience = wanted
            self._call.commands.append(SetPatience(wanted))

    def completeness(self, text: str) -> Completeness:
        """How complete the caller's words are as an answer to what the agent said last."""
        return completeness(text, self._expected())

    def missing_silence(self, text: str, last_voiced_t: float | None) -> float:
        """How many more seconds of silence these words need before the recogniser's end counts; 0 or less: none.

        Words after which people often go on need a longer silence, however sure the recogniser is.
        """
        how, now = self.completeness(text), self._call.now
        if how not in (Completeness.DICTATING, Completeness.UNFINISHED):
            return 0.0
        return self._pause_seconds(how) - (now - (now if last_voiced_t is None else last_voiced_t))

    def watch_pause(self) -> None:
        """End the turn after the silence that its words need, unless the recogniser ends it first.

        The detector measures the silence. When it has not noticed the caller's sound, only the recogniser ends the
        turn.
        """
        call, caller = self._call, self._call.caller
        if caller is None or caller.ended is not None:
            return
        watched, self._watched = self._watched, caller.text
        if watched == caller.text and not call.sound and Deadline.PAUSE in call.deadlines:
            return
        is_noticed = call.last_voiced_t > caller.started_t
        is_sure = caller.confidence is None or caller.confidence >= call.policy.min_confidence
        if is_noticed and is_sure and not call.sound and caller.text and call.policy.speaks:
            call.deadlines.set(Deadline.PAUSE, self._pause_ends_at(caller.text))
        else:
            call.deadlines.clear(Deadline.PAUSE)

    def _pause_ends_at(self, text: str) -> float:
        """When the silence after these words, which have just come, will have been long enough."""
        call, how = self._call, self.completeness(text)
        at = max(call.now, call.last_voiced_t + self._pause_seconds(how))
        if call.now - call.last_voiced_t <= _WORDS_AFTER_SOUND_SECONDS:
            return at
        # The recogniser is slow, or the caller has gone on too quietly for the detector: more words would tell.
        more = self._pause_seconds(how) if how in (Completeness.DICTATING, Completeness.UNFINISHED) else 0.0
        return max(at, call.now + max(more, _BETWEEN_WORDS_SECONDS))

    def _pause_seconds(self, how: Completeness) -> float:
        policy = self._call.policy
        return {
            Completeness.WHOLE: policy.whole_pause_seconds,
            Completeness.LIKELY: policy.likely_pause_seconds,
            Completeness.DICTATING: policy.dictation_pause_seconds,
            Completeness.UNFINISHED: policy.unfinished_pause_seconds,
        }[how]

    def _wanted_patience(self) -> Patience | None:
        """The patience to set. None while no turn of the caller is open or expected, to leave it as it is."""
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
        """After "Are you still there?" or an operator's line, callers may still dictate what they were asked for."""
        utterance = self._call.floor.audible
        expected = expected_answer(self._call.agent_said if utterance is None else utterance.said)
        if expected.kind in _DICTATED or (utterance is not None and utterance.is_own_words):
            return expected
        asked = expected_answer(self._call.agent_asked)
        return asked if asked.kind in _DICTATED else expected
