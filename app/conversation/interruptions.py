"""Whether the caller's words take the floor, or the agent passes over them: a backchannel, an echo, a hello."""

from app.conversation.backchannels import (
    is_backchannel,
    is_hello,
    is_stop_word,
    is_yes,
    may_become_backchannel,
    may_become_hello,
)
from app.conversation.bridging import is_about_waiting
from app.conversation.echo_text import are_same_words, heard_words, is_echo
from app.conversation.state import CallState
from app.conversation.turns import Utterance, UtteranceKind

_GREETS = (UtteranceKind.GREETING, UtteranceKind.NOTICE)
_OTHERS = ("echo", "faint")
"""The reasons to pass over words that are not the caller's."""
_HELLO_WORDS = 2
_ECHO_SECONDS = 3.0
"""How late the agent's own words may come back through the line and speech to text."""
_WORDS_AFTER_SOUND_SECONDS = 1.0
"""How late speech to text may report the words of a sound that is over."""

_OVERTAKEN_KEPT = 8
_SAME_SOUND_SECONDS = 0.1
"""A sound that ends this close to the end of the last turn is the sound of that turn."""


class InterruptionRules:
    """Why words are passed over; every method returns the reason of ``caller.ignored``, or None."""

    def __init__(self, state_of_call: CallState) -> None:
        self._call = state_of_call
        self._overtaken: list[list[str]] = []
        """What speech to text may still report of turns that were taken without an end of turn; the longest first."""
        self._passed_over: tuple[str, list[str]] | None = None
        """Why the last words were passed over, and these words; the end of their turn is still to come."""
        self._others: list[str] = []
        """The first words of the turn that is heard now, if they were an echo or somebody else's."""

    def note_overtaken(self, text: str) -> None:
        """The turn was taken; its end may still come, with the same words, and those of a turn that it goes on."""
        words = heard_words(text)
        if words:
            self._overtaken = [*(_followed_by(words, taken) for taken in self._overtaken), words][-_OVERTAKEN_KEPT:]

    def turn_is_over(self) -> None:
        """Forget what was known about the words of the turn that has ended."""
        self._overtaken, self._passed_over, self._others = [], None, []

    def own_words(self, text: str) -> str:
        """The caller's new words, in a turn that may begin with an echo, somebody else's words, or words taken before.

        The last word that was taken counts as new when it has grown: "12" may become "123".
        """
        rest, _ = _without(text, self._others)
        own = rest or text
        for taken in self._overtaken:
            rest, last = _without(own, taken)
            new = f"{last} {rest}".strip() if heard_words(last)[-1:] != taken[-1:] else rest
            if last and new:
                return new
        return own

    def over_voice(self, utterance: Utterance, text: str, *, faint: bool, so_far: bool = False) -> str | None:
        """Why words over the agent's voice do not stop it. ``so_far``: whether more words of the turn may come."""
        if not utterance.interruptible:
            return "not_interruptible"
        if not so_far and self._others and heard_words(text) == self._others and self._passed_over:
            return self._passed_over[0]
        reason = "faint" if faint else self._over_voice(utterance, text)
        self._note(reason, text)
        if reason is None and so_far and self._may_mean_nothing(utterance, text):
            return "undecided"
        return reason

    def is_early(self, text: str, *, faint: bool) -> bool:
        """Whether words over the disclosure, which nothing may cut, are to be answered after it."""
        call, own = self._call, self.own_words(text)
        line = call.floor.line
        if line is None or line.kind is not UtteranceKind.DISCLOSURE or not own or faint:
            return False
        is_echo_of_line = line.started and self._is_own_voice(line, text)
        return not (is_echo_of_line or is_hello(own) or is_backchannel(own, call.language))

    def before_answer(self, text: str, *, so_far: bool = False) -> str | None:
        """Why words do not stop an answer that is being made, or a greeting that has not begun."""
        call = self._call
        line = call.floor.line
        if line is not None and not line.interruptible:
            return "not_interruptible"
        if call.floor.reply_pending:
            if not text or is_backchannel(text, call.language) or is_about_waiting(call, text):
                return "acknowledgement"
            undecided = may_become_backchannel(text, call.language) or is_about_waiting(call, text, is_whole=False)
            return "undecided" if so_far and undecided else None
        if line is not None and line.kind is UtteranceKind.GREETING and len(text.split()) <= _HELLO_WORDS:
            return "not_interruptible"
        return None

    def nothing_new(self, text: str, *, faint: bool) -> str | None:
        """Why words that would open a turn are not the caller's next words.

        They may belong to a turn that was taken or passed over already, or be an echo of the agent's last words that
        arrives after the agent has finished, with no later sound of the caller.
        """
        if self._call.caller is not None:
            return None
        reason = self._nothing_new(text, faint=faint)
        if reason in _OTHERS:
            self._note(reason, text)
        return reason

    def _note(self, reason: str | None, text: str) -> None:
        words = heard_words(text)
        self._passed_over = (reason, words) if reason else None
        if reason in _OTHERS:
            self._others = words

    def _nothing_new(self, text: str, *, faint: bool) -> str | None:
        call = self._call
        if heard_words(text) in self._overtaken or heard_words(self.own_words(text)) in self._overtaken:
            return "repeated"
        if call.floor.audible is None and faint:
            return "faint"
        if call.floor.audible is not None:
            return None
        if self._passed_over is not None and heard_words(text) == self._passed_over[1]:
            return self._passed_over[0]
        if call.sound_since_t > call.agent_ended_t:
            return None
        return "echo" if self._echo_is_due() and self._is_said(text, call.agent_said) else None

    def _over_voice(self, utterance: Utterance, text: str) -> str | None:
        call, own = self._call, self.own_words(text)
        heard_caller = self._caller_was_heard()
        if heard_caller and is_stop_word(own) and utterance.kind is not UtteranceKind.FILLER:
            return None
        if self._is_own_voice(utterance, text):
            return "echo"
        if self._is_about_waiting(utterance, own):
            return "acknowledgement"
        if is_backchannel(own, call.language):
            if utterance.kind is UtteranceKind.NOTICE:  # the answer follows
                return "acknowledgement"
            return None if utterance.can_be_answered(call.now, yes=is_yes(own)) else "acknowledgement"
        return "not_interruptible" if utterance.kind in _GREETS and is_hello(own) else None

    def _may_mean_nothing(self, utterance: Utterance, text: str) -> bool:
        """Whether these words may still become a backchannel or a hello."""
        own = self.own_words(text)
        if is_backchannel(own, self._call.language):
            return False
        greets = utterance.kind in _GREETS and may_become_hello(own)
        waits = self._is_about_waiting(utterance, own, is_whole=False)
        return greets or waits or may_become_backchannel(own, self._call.language)

    def _is_about_waiting(self, utterance: Utterance, text: str, *, is_whole: bool = True) -> bool:
        """Whether words are about the wait, over a line that bridges it or over an answer that waits for a tool."""
        bridges = utterance.kind is UtteranceKind.FILLER or self._call.wait.tool is not None
        return bridges and is_about_waiting(self._call, text, is_whole=is_whole)

    def _is_own_voice(self, utterance: Utterance, text: str) -> bool:
        """Whether these are an echo of the agent's own words.

        Any words of a filler count, because they sound like a caller's "wait".
        """
        if utterance.kind is UtteranceKind.FILLER and set(heard_words(text)) <= set(heard_words(utterance.text)):
            return True
        return self._is_said(text, f"{self._call.agent_said if self._echo_is_due() else ''} {utterance.said}")

    def _is_said(self, text: str, said: str) -> bool:
        """Whether the words are an echo of ``said``. Behind an echo, the next words may be the caller's own."""
        heard_caller, own = self._caller_was_heard(), self.own_words(text)
        if own == text or not heard_caller:
            return is_echo(text, said, with_sound=heard_caller) or is_echo(own, said, with_sound=heard_caller)
        return is_echo(own, said, with_sound=False) and is_echo(text, said)

    def _caller_was_heard(self) -> bool:
        """Whether the detector, which ignores the agent's own sound, has heard the caller just now."""
        call = self._call
        is_paused = call.floor.audible is not None and call.floor.audible.paused
        since_turn = call.last_voiced_t > call.taken_until_t + _SAME_SOUND_SECONDS
        return call.sound or is_paused or (since_turn and call.now - call.last_voiced_t <= _WORDS_AFTER_SOUND_SECONDS)

    def _echo_is_due(self) -> bool:
        return self._call.now - self._call.agent_ended_t <= _ECHO_SECONDS


def _without(text: str, words: list[str]) -> tuple[str, str]:
    """The text after these words, and the last of them as the text has it: it may have grown.

    Both are empty when the text does not begin with the words.
    """
    rest, taken, last = text.split(), list[str](), ""
    while rest and len(taken) < len(words):
        last = rest.pop(0)
        taken += heard_words(last)
    if not words or len(taken) != len(words) or not taken[-1].startswith(words[-1]):
        return "", ""
    return (" ".join(rest), last) if are_same_words(taken[:-1], words[:-1]) else ("", "")


def _followed_by(words: list[str], taken: list[str]) -> list[str]:
    """The words that were taken and these after them, of which the first may be the last one that was taken, grown."""
    has_grown = words[0] != taken[-1] and words[0].startswith(taken[-1])
    return [*(taken[:-1] if has_grown else taken), *words]
