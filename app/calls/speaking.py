"""The agent's mouth: utterances wait here for the floor, one is played at a time, what is heard is told as facts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.calls.ports import CallLeg
from app.calls.timing import CallClock
from app.calls.track import SpeechTrack
from app.conversation import events as ev
from media.playout import PlayedAudio, Playout

_MARK_PATIENCE_SECONDS = 0.5
"""How long after its estimated end an utterance may still be playing at a far end that tells by marks."""


@dataclass(slots=True, eq=False)
class Speaking:
    """An utterance from the wish to say it until its end."""

    number: int
    turn: int
    kind: str
    track: SpeechTrack
    held: bool = False
    """Not to be heard before the turn has really ended."""
    started: bool = False
    paused: bool = False
    mark_sent: bool = False
    stamps: dict[str, float] = field(default_factory=dict)
    """When its parts were ready, in call seconds; see AgentReplyStarted."""

    @property
    def ready(self) -> bool:
        """Whether it may begin: there is sound, or it is certain that there will be none."""
        return not self.held and (self.track.has_audio or self.track.complete)


class Mouth:
    """Plays utterances through a leg.

    ``run`` is the one task; every method is synchronous and leaves the sending to it, but for what must be heard at
    once: a pause and a stop clear the leg before they return.
    """

    def __init__(
        self,
        leg: CallLeg,
        playout: Playout,
        *,
        clock: CallClock,
        tell: Callable[[ev.Event], None],
        on_sent: Callable[[PlayedAudio], None],
        record: Callable[[list[PlayedAudio]], None],
    ) -> None:
        self._leg = leg
        self._playout = playout
        self._clock = clock
        self._tell = tell
        self._on_sent = on_sent
        self._record = record
        self._waiting: list[Speaking] = []
        self._current: Speaking | None = None
        self._changed = asyncio.Event()
        self._marks_come_back = False
        self._mark_played: int | None = None

    def __repr__(self) -> str:
        return f"<Mouth {self._current}, {len(self._waiting)} wait, {self._playout!r}>"

    def offer(self, speaking: Speaking) -> None:
        """It may be played as soon as it is ready and nothing else is being played."""
        self._waiting.append(speaking)

    def wake(self) -> None:
        """Something has changed: sound has arrived, or an utterance was released."""
        self._changed.set()

    def discard(self, speaking: Speaking) -> None:
        """Forget an utterance that has not begun."""
        if speaking in self._waiting:
            self._waiting.remove(speaking)
        elif speaking is self._current and not speaking.started:
            self._current = None
            self._playout.begin()
            self.wake()

    def pause(self, number: int) -> None:
        """Be silent at once, keeping the rest."""
        current = self._current
        if current is None or current.number != number or current.paused:
            return
        self._leg.send_clear()
        heard, _ = current.track.heard(self._playout.cut(self._clock.leg_seconds()))
        current.paused, current.mark_sent = True, False
        self._tell(ev.AgentPaused(current.turn, current.number, heard))

    def resume(self, number: int) -> None:
        """Go on where the caller stopped hearing."""
        current = self._current
        if current is not None and current.number == number and current.paused:
            current.paused = False
            self._tell(ev.AgentResumed(current.turn, current.number))
            self.wake()

    def stop(self, number: int) -> ev.AgentInterrupted | None:
        """Be silent at once; tells what was heard if it had begun."""
        current = self._current
        if current is None or current.number != number:
            self._waiting = [speaking for speaking in self._waiting if speaking.number != number]
            return None
        if not current.paused:
            self._leg.send_clear()
        heard, exact = current.track.heard(self._playout.cut(self._clock.leg_seconds()))
        self._playout.begin()
        self._current = None
        self.wake()
        return ev.AgentInterrupted(current.turn, current.number, heard, current.track.text, exact)

    def cleared(self, played_samples: int) -> None:
        """The far end tells how much it had played, ever, when it was cleared."""
        if self._current is not None and self._current.paused:
            self._playout.correct(played_samples)

    def mark_played(self, name: str) -> None:
        """The far end has played everything up to a mark."""
        self._marks_come_back = True
        if self._current is not None and name == _mark_of(self._current):
            self._mark_played = self._current.number
            self.wake()

    async def run(self) -> None:
        """Play; ends by cancellation only."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            again_in = self._step()
            try:
                async with asyncio.timeout_at(None if again_in is None else loop.time() + again_in):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def flush_recording(self) -> None:
        """The call is over: keep what was played until now."""
        self._record(self._playout.take_played(self._clock.leg_seconds(), everything=True))

    def _step(self) -> float | None:
        """Send what may leave now. Returns the seconds after which there is more to do, None if only on a change."""
        now = self._clock.leg_seconds()
        self._record(self._playout.take_played(now))
        current = self._current or self._next()
        if current is None or current.paused:
            return None
        for audio in current.track.take_audio():
            self._playout.add(audio)
        if current.track.complete:
            self._playout.finish()
        piece = self._playout.release(now)
        if piece is not None:
            self._leg.send_audio(piece.audio)
            self._on_sent(piece)
            self._tell_progress(current)
        if current.track.complete and self._playout.is_empty:
            return self._finish_when_heard(current, now)
        again_at = self._playout.next_release(now)
        return None if again_at is None else max(0.0, again_at - now)

    def _next(self) -> Speaking | None:
        chosen = next((speaking for speaking in self._waiting if speaking.ready), None)
        if chosen is not None:
            self._waiting.remove(chosen)
            self._current = chosen
            self._mark_played = None
            self._playout.begin()
        return chosen

    def _tell_progress(self, current: Speaking) -> None:
        if not current.started:
            current.started = True
            current.stamps["first_frame"] = self._clock.call_seconds()
            self._tell(ev.AgentReplyStarted(current.turn, current.number, current.kind, current.stamps))
        while (clause := current.track.next_started_clause(self._playout.sent)) is not None:
            self._tell(ev.AgentClauseStarted(current.turn, current.number, *clause))

    def _finish_when_heard(self, current: Speaking, now: float) -> float | None:
        """Told by the far end's mark, or by the clock where marks do not come back."""
        if current.started and not current.mark_sent:
            current.mark_sent = True
            self._leg.send_mark(_mark_of(current))
        heard_at = self._playout.ends_at() + (_MARK_PATIENCE_SECONDS if self._marks_come_back else 0.0)
        if current.started and now < heard_at and self._mark_played != current.number:
            return heard_at - now
        if current.started:
            self._tell_progress(current)
        self._current = None
        text = current.track.text
        self._tell(ev.AgentFinished(current.turn, current.number, text, text))
        self.wake()
        return None


def _mark_of(speaking: Speaking) -> str:
    return f"speech-{speaking.number}"
