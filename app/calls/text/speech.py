"""What the agent says in a call in text: utterances that begin, take as long as their words, and may be cut short.

The life of an utterance is that of :mod:`app.calls.live.playback`; only the sound is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.calls.live.playback import PlaybackItem
from app.calls.text.caller import LETTERS_PER_SECOND, spoken_seconds
from app.calls.text.clock import TextClock
from app.conversation import events as ev
from app.conversation.turns import UtteranceKind

SAMPLE_RATE = 8000
"""The rate in which rows count samples, as on the telephone."""
_ROUNDING_SECONDS = 0.1
"""Times are rounded, and the last word must not be lost for that."""


@dataclass(slots=True, eq=False)
class _Utterance:
    item: PlaybackItem
    clauses: list[str] = field(default_factory=list)
    shown: int = 0
    """How many of the clauses have begun."""
    is_whole: bool = False
    heard_seconds: float = 0.0
    """How much was heard before the last pause."""
    since_t: float | None = None
    """Since when it is heard; None before it, and while it is paused."""

    @property
    def text(self) -> str:
        return "".join(self.clauses)

    def heard_by(self, now: float) -> str:
        """What was heard: whole words, a beginning of the text."""
        seconds = self.heard_seconds + (now - self.since_t if self.since_t is not None else 0.0)
        text, letters = self.text, int(seconds * LETTERS_PER_SECOND)
        if letters >= len(text.strip()):
            return text.strip()
        whole = text[:letters].rstrip()
        return whole if text[len(whole) : len(whole) + 1].isspace() else whole.rpartition(" ")[0]


class TextSpeech:
    """The agent's utterances, one at a time. Emits the same events as playback."""

    def __init__(self, clock: TextClock, emit: Callable[[ev.Event], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._waiting: list[_Utterance] = []
        self._current: _Utterance | None = None

    def __repr__(self) -> str:
        return f"<TextSpeech {self._current}, {len(self._waiting)} wait>"

    # --- what the reply pipeline does ---------------------------------------------------------------------------------

    def add(self, item: PlaybackItem, clause: str) -> None:
        """The next clause of an utterance is known."""
        utterance = self._find(item.number)
        if utterance is not None:
            utterance.clauses.append(clause)
            self.wake()

    def complete(self, item: PlaybackItem) -> None:
        """All of an utterance is known. One without words is over at once."""
        utterance = self._find(item.number)
        if utterance is None:
            return
        utterance.is_whole = True
        if not utterance.text.strip() and utterance is not self._current:
            self._waiting.remove(utterance)
            self._emit(ev.AgentFinished(item.turn, item.number, "", ""))
        self.wake()

    def discard(self, item: PlaybackItem) -> None:
        """Forget an utterance that has not begun."""
        self._waiting = [each for each in self._waiting if each.item is not item]

    # --- what the event loop does -------------------------------------------------------------------------------------

    def offer(self, item: PlaybackItem) -> None:
        """Queue an utterance."""
        self._waiting.append(_Utterance(item))

    def wake(self) -> None:
        """Begin what may begin, and go on to the clauses that are known."""
        current = self._current
        if current is not None and current.item.kind == UtteranceKind.FILLER and self._first_ready() is not None:
            self._finish(current)  # the answer is ready, and a filler makes way
        if self._current is None and (first := self._first_ready()) is not None:
            self._begin(first)
        self._show_clauses()

    def pause(self, number: int) -> None:
        """Stop an utterance, and remember where."""
        current = self._current
        if current is not None and current.item.number == number and current.since_t is not None:
            now = self._clock.call_seconds()
            heard = current.heard_by(now)
            current.heard_seconds, current.since_t = current.heard_seconds + now - current.since_t, None
            current.item.paused = True
            self._emit(ev.AgentPaused(current.item.turn, number, heard))

    def resume(self, number: int) -> None:
        """Go on where the caller stopped hearing."""
        current = self._current
        if current is not None and current.item.number == number and current.since_t is None:
            current.since_t, current.item.paused = self._clock.call_seconds(), False
            self._emit(ev.AgentResumed(current.item.turn, number))
            self._show_clauses()

    def stop(self, number: int) -> None:
        """Stop an utterance and drop the rest."""
        if self._current is not None and self._current.item.number == number:
            self._emit(self._cut(self._current))
            self._current = None
        self._waiting = [each for each in self._waiting if each.item.number != number]
        self.wake()

    def drain(self) -> ev.AgentInterrupted | None:
        """Nothing: what was heard is emitted at once."""
        return None

    def silence(self) -> ev.AgentInterrupted | None:
        """Stop everything at the end of the call, and return what was heard of the last utterance."""
        current, self._current, self._waiting = self._current, None, []
        return self._cut(current) if current is not None else None

    # --- what the pace of the call does -------------------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        """Whether an utterance has begun and is paused."""
        return self._current is not None and self._current.since_t is None

    @property
    def ends_at(self) -> float | None:
        """When the current utterance will have been heard, in call seconds; None if nothing plays, or more may come."""
        current = self._current
        if current is None or current.since_t is None or not current.is_whole:
            return None
        return current.since_t + max(0.0, spoken_seconds(current.text) - current.heard_seconds)

    @property
    def current(self) -> tuple[int, float, float] | None:
        """Number, beginning and length in seconds of the utterance that plays and is whole; None without one."""
        current, ends_at = self._current, self.ends_at
        if current is None or ends_at is None or current.since_t is None:
            return None
        return current.item.number, current.since_t - current.heard_seconds, spoken_seconds(current.text)

    def finish(self) -> None:
        """The current utterance was heard to its end."""
        if self._current is not None:
            self._finish(self._current)
            self.wake()

    def _find(self, number: int) -> _Utterance | None:
        live = [*([self._current] if self._current is not None else []), *self._waiting]
        return next((each for each in live if each.item.number == number), None)

    def _first_ready(self) -> _Utterance | None:
        """Fixed lines come before an answer."""
        ready = [each for each in self._waiting if not each.item.held and each.text.strip()]
        ready.sort(key=lambda each: each.item.kind == UtteranceKind.REPLY)
        return ready[0] if ready else None

    def _begin(self, utterance: _Utterance) -> None:
        self._waiting.remove(utterance)
        self._current, item = utterance, utterance.item
        now = self._clock.call_seconds()
        utterance.since_t, item.started = now, True
        item.stamps.update(first_audio=now, first_frame=now)
        self._emit(ev.AgentReplyStarted(item.turn, item.number, item.kind, dict(item.stamps), item.language))

    def _show_clauses(self) -> None:
        current = self._current
        if current is None or current.since_t is None:
            return
        for index in range(current.shown, len(current.clauses)):
            before = "".join(current.clauses[:index])
            sample = round(len(before) / LETTERS_PER_SECOND * SAMPLE_RATE)
            item = current.item
            self._emit(ev.AgentClauseStarted(item.turn, item.number, current.clauses[index], sample))
        current.shown = len(current.clauses)

    def _finish(self, utterance: _Utterance) -> None:
        self._current, item = None, utterance.item
        heard = utterance.heard_by(self._clock.call_seconds() + _ROUNDING_SECONDS)
        self._emit(ev.AgentFinished(item.turn, item.number, heard, utterance.text.strip(), exact=False))

    def _cut(self, utterance: _Utterance) -> ev.AgentInterrupted:
        heard = utterance.heard_by(self._clock.call_seconds())
        item = utterance.item
        return ev.AgentInterrupted(item.turn, item.number, heard, utterance.text.strip(), exact=False)
