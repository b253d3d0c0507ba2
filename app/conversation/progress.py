"""Whether a conversation still moves. A film, music on hold or another machine would be answered for ever.

A turn moves nothing when the caller has said its words before, or when the agent has given the same answer for the
third time. A caller may repeat one or two words ("yes", "no", a number): these move nothing only if they follow the
same words of the agent.

A caller who dictates again what the agent asks for moves the call: the agent wants to hear it again. That holds for
half of ``stall_turns`` turns in a row, or an agent and a machine could go on for ever.
"""

from collections import deque
from enum import StrEnum

from app.conversation.completeness import is_what_was_asked_for
from app.conversation.echo_text import are_same_words, heard_words

_REMEMBERED = 4
"""How many times ``stall_turns`` turns are remembered: a film may be long before it begins again."""
_FEWEST_WORDS = 3
_FEWEST_WORDS_OF_AN_ANSWER = 4
_ANSWERS_ALIKE = 2


class Progress(StrEnum):
    """What to do about a turn."""

    GOES_ON = "goes_on"
    """Answer it."""
    STALLS = "stalls"
    """Ask the caller what they want."""
    IS_OVER = "is_over"
    """Say goodbye."""


class ProgressWatch:
    """Counts the turns that move nothing. ``stall_turns`` 0 counts none.

    When at least half of the last ``stall_turns / 2`` turns moved nothing, the agent asks what the caller wants. If it
    has asked, and at least half of the last ``stall_turns`` turns moved nothing, the call is over.
    """

    def __init__(self, stall_turns: int) -> None:
        self._most = stall_turns
        self._turns: deque[tuple[list[str], list[str]]] = deque(maxlen=_REMEMBERED * stall_turns)
        """The words of the caller's turns, each with those that the agent had said before."""
        self._moved_nothing: deque[bool] = deque(maxlen=stall_turns)
        self._has_asked = False
        self._dictated_again = 0
        """Repetitions in a row that the agent had asked for."""

    def moved(self) -> None:
        """Note that the call has got somewhere, for instance with a tool: the count begins anew."""
        self._moved_nothing.clear()
        self._has_asked = False

    def turn_taken(self, text: str, said_before: str) -> Progress:
        """Note a finished turn of the caller, and what the agent had said before it. Returns what to do about it."""
        words, before = heard_words(text), heard_words(said_before)
        repeats = self._is_repeated(words, before) and not self._is_requested(text, said_before)
        self._turns.append((words, before))
        self._moved_nothing.append(repeats)
        half = list(self._moved_nothing)[-max(1, self._most // 2) :]
        if not any(half):
            self._has_asked = False
        if not repeats:
            return Progress.GOES_ON
        if self._has_asked and len(self._moved_nothing) == self._most and 2 * sum(self._moved_nothing) >= self._most:
            return Progress.IS_OVER
        if not self._has_asked and 2 * len(half) >= self._most - 1 and 2 * sum(half) >= len(half):
            self._has_asked = True
            return Progress.STALLS
        return Progress.GOES_ON

    def _is_requested(self, text: str, said_before: str) -> bool:
        """Whether a repetition is what the agent wants."""
        self._dictated_again = self._dictated_again + 1 if is_what_was_asked_for(text, said_before) else 0
        return 0 < self._dictated_again <= self._most // 2

    def _is_repeated(self, words: list[str], before: list[str]) -> bool:
        same_answers = sum(are_same_words(before, earlier) for _, earlier in self._turns)
        if len(before) >= _FEWEST_WORDS_OF_AN_ANSWER and same_answers >= _ANSWERS_ALIKE:
            return True
        return any(
            are_same_words(words, earlier) and (len(words) >= _FEWEST_WORDS or are_same_words(before, said))
            for earlier, said in self._turns
        )
