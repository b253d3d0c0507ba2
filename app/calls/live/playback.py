"""Plays the agent's utterances, one at a time, and emits what the caller has heard of each.

A filler makes way. When an answer is ready, or its first words are written, the filler ends after the word that the
caller is hearing, and the answer follows at once. A filler does not begin when an answer is about to begin. A notice
goes first: an answer that is ready waits for it.

The life of a :class:`PlaybackItem`::

    offer ──► waiting ──ready──► current ──first frame──► started ──all heard──► AgentFinished
                 │                                         │    ▲
                 └──stop, discard──► gone             pause│    │resume
                                                           ▼    │
                                                          paused ──stop──► AgentInterrupted(heard)
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.calls.live.call_clock import CallClock
from app.calls.live.speech_track import SpeechTrack
from app.conversation import events as ev
from app.conversation.turns import UtteranceKind
from app.ports.services import CallLeg
from media.playout import PlayedAudio, Playout

_MARK_PATIENCE_SECONDS = 0.5
"""How long after its estimated end we wait for the mark of a far end that returns marks."""
_RECORDED_WITHIN_SECONDS = 0.03
"""How long what was played may wait to be recorded after it can be."""
_SHORTEST_WAIT_SECONDS = 0.001
_AUDIBLE_GAP_SECONDS = 0.02
_COMING_SECONDS = 0.5
"""For how long after its first token an answer counts as about to be heard. Slower speech synthesis is late."""
_FIRST = (UtteranceKind.NOTICE, UtteranceKind.RECONNECTED)
"""What an answer that is ready waits for."""
_TRIED = ("first_token", "first_clause", "first_audio")
"""The stamps of one attempt at an utterance. A new attempt clears them."""


@dataclass(slots=True, eq=False)
class PlaybackItem:
    """An utterance, from the command to say it until its end."""

    number: int
    turn: int
    kind: str
    language: str
    track: SpeechTrack
    held: bool = False
    """Whether it must stay silent until the caller's turn has really ended."""
    started: bool = False
    paused: bool = False
    ends_after: int | None = None
    """After this many samples a filler ends early, because the answer is ready. None: it plays to its end."""
    marks_sent: int = 0
    mark: str | None = None
    """The mark after its last sample."""
    mark_played: bool = False
    certain: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is no longer held."""
    stamps: dict[str, float] = field(default_factory=dict)
    """When each stage was reached, in call seconds; see AgentReplyStarted."""

    def __post_init__(self) -> None:
        if not self.held:
            self.certain.set()

    def hold(self) -> None:
        """Keep it from beginning, because something else comes first. Has no effect once it has begun."""
        self.held = not self.started
        if self.held:
            self.certain.clear()

    def release(self) -> None:
        """Let it be played: the turn that it answers has really ended."""
        self.held = False
        self.certain.set()

    @property
    def ready(self) -> bool:
        """Whether it may start: it is not held, and it has audio or will get none."""
        return not self.held and (self.track.has_audio or self.track.complete)

    def begin_anew(self, track: SpeechTrack) -> None:
        """Start over with an empty track. Only while nothing of it was heard."""
        self.track = track
        for name in _TRIED:
            self.stamps.pop(name, None)

    def next_mark(self) -> str:
        """A new name for each mark, because a mark that was cleared may still come back."""
        self.marks_sent += 1
        self.mark = f"speech-{self.number}" if self.marks_sent == 1 else f"speech-{self.number}-{self.marks_sent}"
        return self.mark


class PlaybackScheduler:
    """Plays utterances through a leg.

    ``run`` is the only task. Every method is synchronous and leaves the sending to it, with one exception: a pause or
    a stop clears the leg before it returns. AgentInterrupted of a stopped utterance follows when the far end has
    reported how much it had played, after half a second, or when the next utterance starts, whichever is first.
    """

    def __init__(
        self,
        leg: CallLeg,
        playout: Playout,
        *,
        clock: CallClock,
        emit: Callable[[ev.Event], None],
        on_sent: Callable[[PlayedAudio], None],
        record: Callable[[list[PlayedAudio]], None],
        on_underrun: Callable[[], None] = lambda: None,
    ) -> None:
        self._leg = leg
        self._playout = playout
        self._clock = clock
        self._emit = emit
        self._on_sent = on_sent
        self._record = record
        self._on_underrun = on_underrun
        self._next_sample: int | None = None
        """Where the next piece of this utterance begins if the voice does not run dry; None if a gap is meant."""
        self._waiting: list[PlaybackItem] = []
        self._current: PlaybackItem | None = None
        self._stopped: PlaybackItem | None = None
        """An utterance that was stopped, and whose AgentInterrupted is not emitted yet."""
        self._changed = asyncio.Event()
        self._marks_come_back = False
        self._is_away = False
        """Whether the leg has lost the caller, so that nothing may be played."""

    def __repr__(self) -> str:
        return f"<PlaybackScheduler {self._current}, {len(self._waiting)} wait, {self._playout!r}>"

    def offer(self, item: PlaybackItem) -> None:
        """Queue an utterance. It is played when it is ready and nothing else is being played."""
        self._waiting.append(item)

    def go_away(self, since: float) -> None:
        """The caller has heard nothing since then, in seconds since the answer, and hears nothing until come_back."""
        self._is_away = True
        if self._current is not None and self._current.started and not self._current.paused:
            self._leg.send_clear()
            self._next_sample = None
            self._playout.cut(since)
            self._current.mark = None

    def come_back(self) -> None:
        """The caller hears us again."""
        self._is_away = False
        self.wake()

    def wake(self) -> None:
        """Look again: audio has arrived, or an utterance was released."""
        self._changed.set()

    def discard(self, item: PlaybackItem) -> None:
        """Forget an utterance that has not started."""
        if item in self._waiting:
            self._waiting.remove(item)
        elif item is self._current and not item.started:
            self._current = None
            self._playout.begin()
            self.wake()

    def pause(self, number: int) -> None:
        """Fall silent at once, and keep the rest of the utterance."""
        current = self._current
        if current is None or current.number != number or current.paused:
            return
        self._cut(current)
        current.paused = True
        heard, _ = current.track.heard(self._playout.sent)
        self._emit(ev.AgentPaused(current.turn, current.number, heard))

    def resume(self, number: int) -> None:
        """Go on from the last sample that the caller heard."""
        current = self._current
        if current is not None and current.number == number and current.paused:
            current.paused = False
            self._emit(ev.AgentResumed(current.turn, current.number))
            self.wake()

    def stop(self, number: int) -> None:
        """Fall silent at once, and forget the rest of the utterance."""
        current = self._current
        if current is None or current.number != number:
            self._waiting = [item for item in self._waiting if item.number != number]
        elif not current.started:
            self.discard(current)
        else:
            if not current.paused:
                self._cut(current)
            self._current, self._stopped = None, current
            self.wake()

    def drain(self) -> ev.AgentInterrupted | None:
        """The pending AgentInterrupted of a stopped utterance, with what is known now; None if there is none."""
        stopped, self._stopped = self._stopped, None
        if stopped is None:
            return None
        heard, exact = stopped.track.heard(self._playout.sent)
        exact = exact and self._playout.is_told
        self._playout.begin()
        return ev.AgentInterrupted(stopped.turn, stopped.number, heard, stopped.track.text, exact)

    def silence(self) -> ev.AgentInterrupted | None:
        """The call is over: stop the current utterance, and return what was heard of it."""
        if self._current is not None:
            self.stop(self._current.number)
        return self.drain()

    def cleared(self, total_played: int | None) -> None:
        """The far end's answer to a clear. ``total_played`` is in samples since the answer, None if unknown."""
        self._playout.correct(total_played, self._clock.leg_seconds())
        self.wake()

    def mark_played(self, name: str) -> None:
        """The far end has played everything up to a mark."""
        self._marks_come_back = True
        if self._current is not None and name == self._current.mark:
            self._current.mark_played = True
            self.wake()

    async def run(self) -> None:
        """Play until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            again_at = self._or_to_record(self._step())
            if again_at is None:
                await self._changed.wait()
                continue
            wait = max(_SHORTEST_WAIT_SECONDS, again_at - self._clock.leg_seconds())
            timer = loop.call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()

    def flush_recording(self) -> None:
        """The call is over: record what was played until now."""
        self._record(self._playout.take_played(self._clock.leg_seconds(), everything=True))

    def _cut(self, current: PlaybackItem) -> None:
        self._leg.send_clear()
        self._next_sample = None
        self._playout.cut(self._clock.leg_seconds())
        current.mark = None

    def _step(self) -> float | None:
        """Send what is due. Returns the next time to look, in seconds since the answer; None: after the next change."""
        now = self._clock.leg_seconds()
        self._record(self._playout.take_played(now))
        if self._is_away:
            return None
        if self._stopped is not None:
            if self._first_ready() is None and (patience := self._playout.answer_due_in(now)):
                return now + patience
            self._emit_settled()
        current = self._current or self._next()
        if current is None or current.paused:
            return self._look_again(now)
        if patience := self._playout.answer_due_in(now):
            return now + patience
        self._make_way(current, now)
        return self._play(current, now)

    def _or_to_record(self, again_at: float | None) -> float | None:
        """That time, or soon after what was played can be recorded: usually something else is to be done then."""
        played = self._playout.next_played()
        if played is None:
            return again_at
        due = played + _RECORDED_WITHIN_SECONDS
        return due if again_at is None else min(again_at, due)

    def _look_again(self, now: float) -> float | None:
        """When there may be something to do although nothing is being played."""
        return now + self._coming_for() if any(item.ready for item in self._waiting) else None

    def _coming_for(self) -> float:
        """For how much longer an answer counts as about to be heard; 0 if no answer does."""
        now = self._clock.call_seconds()
        tokens = (item.stamps.get("first_token") for item in self._waiting if _is_answer(item))
        return max((token + _COMING_SECONDS - now for token in tokens if token is not None), default=0.0)

    def _make_way(self, current: PlaybackItem, now: float) -> None:
        """End a filler after the word that the caller is hearing, when the answer is there or about to be."""
        if current.kind != UtteranceKind.FILLER or not current.started or current.ends_after is not None:
            return
        if self._coming_for() > 0 or any(item.ready and _is_answer(item) for item in self._waiting):
            current.ends_after = current.track.end_after_word(self._playout.heard(now))
            if current.ends_after is not None:
                self._playout.end_at(current.ends_after)

    def _emit_settled(self) -> None:
        if (interrupted := self.drain()) is not None:
            self._emit(interrupted)

    def _play(self, current: PlaybackItem, now: float) -> float | None:
        if current.ends_after is not None and self._playout.sent > current.ends_after:
            return self._cut_at_word(current, current.ends_after, now)
        while self._playout.wants_more and (audio := current.track.take_audio()):
            self._playout.add(audio)
        if current.track.complete and not current.track.has_audio:
            self._playout.finish()
        piece = self._playout.release(now)
        if piece is not None:
            self._leg.send_audio(piece.audio)
            self._note_gap(piece)
            self._on_sent(piece)
            ahead = piece.at_sample / self._leg.audio_format.sample_rate - now
            self._emit_progress(current, max(0.0, ahead))
        if current.track.complete and self._playout.is_empty:
            return self._finish_when_heard(current, now)
        return self._playout.next_release(now)

    def _note_gap(self, piece: PlayedAudio) -> None:
        """Report a gap before a piece: the sound came more slowly than it is heard."""
        audible = self._leg.audio_format.sample_rate * _AUDIBLE_GAP_SECONDS
        if self._next_sample is not None and piece.at_sample - self._next_sample >= audible:
            self._on_underrun()
        self._next_sample = piece.at_sample + self._leg.audio_format.samples(piece.audio)

    def _cut_at_word(self, current: PlaybackItem, end: int, now: float) -> float | None:
        """More was sent than the caller is to hear: discard the rest when the word has ended."""
        ends_at = self._playout.heard_at(end)
        if now < ends_at:
            return ends_at
        self._cut(current)
        self._finish(current)
        return None

    def _first_ready(self) -> PlaybackItem | None:
        answer_comes = self._coming_for() > 0
        notices = [item for item in self._waiting if item.kind in _FIRST]
        ready = (item for item in notices or self._waiting if item.ready)
        return next((item for item in ready if item.kind != UtteranceKind.FILLER or not answer_comes), None)

    def _next(self) -> PlaybackItem | None:
        chosen = self._first_ready()
        if chosen is not None:
            self._waiting.remove(chosen)
            self._current = chosen
            self._next_sample = None
            self._playout.begin()
        return chosen

    def _emit_progress(self, current: PlaybackItem, ahead_seconds: float = 0.0) -> None:
        """``ahead_seconds``: how long after its sending the last piece is heard, because other pieces play first."""
        if not current.started:
            current.started = True
            current.stamps["first_frame"] = self._clock.call_seconds() + ahead_seconds
            stamps = dict(current.stamps)
            self._emit(ev.AgentReplyStarted(current.turn, current.number, current.kind, stamps, current.language))
        while (clause := current.track.next_started_clause(self._playout.sent)) is not None:
            self._emit(ev.AgentClauseStarted(current.turn, current.number, *clause))

    def _finish_when_heard(self, current: PlaybackItem, now: float) -> float | None:
        """Finish the utterance when the far end has returned its mark, or by the clock if marks do not come back.

        A filler is finished as soon as the answer is ready, which then follows without a gap.
        """
        if current.started and current.mark is None:
            self._leg.send_mark(current.next_mark())
        heard_at = self._playout.ends_at() + (_MARK_PATIENCE_SECONDS if self._marks_come_back else 0.0)
        follows = self._first_ready() if current.kind == UtteranceKind.FILLER else None
        if current.started and now < heard_at and not current.mark_played and follows is None:
            return heard_at
        if current.started:
            self._emit_progress(current)
        self._finish(current)
        return None

    def _finish(self, current: PlaybackItem) -> None:
        self._current = None
        heard, exact = current.track.heard(self._playout.sent)
        self._emit(ev.AgentFinished(current.turn, current.number, heard, current.track.text, exact))
        self.wake()


def _is_answer(item: PlaybackItem) -> bool:
    """Whether it is an answer that is certain to be wanted."""
    return item.kind == UtteranceKind.REPLY and not item.held
