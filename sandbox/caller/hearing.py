"""What the caller hears of the agent, and judges from it: is the agent speaking, for how long, have they finished?"""

from collections.abc import Callable

from sandbox.caller.earpiece import Earpiece, Piece, joined
from sandbox.caller.report import Cleared
from sandbox.caller.span_detector import Span, SpanDetector
from sandbox.vendors.encodings import Samples

FELL_SILENT_SECONDS = 0.3
"""After this much silence the agent counts as silent."""

_BREATH_SECONDS = 0.6
_WENT_ON_SECONDS = 0.5


class CallerHearing:
    """Plays the agent's sound and finds when the agent speaks. ``now`` is in seconds since ``ready``."""

    def __init__(self, sample_rate: int, on_played: Callable[[Piece], None] | None = None) -> None:
        self._rate = sample_rate
        self._on_played = on_played
        self._earpiece = Earpiece(sample_rate)
        self._detector = SpanDetector(sample_rate)
        self._heard: list[Piece] = []
        self.arrivals: list[float] = []
        """When the first audio after a silence arrived."""
        self.clears: list[Cleared] = []

    @property
    def received_samples(self) -> int:
        """Samples received."""
        return self._earpiece.received_samples

    @property
    def played_samples(self) -> int:
        """Samples played."""
        return self._earpiece.played_samples

    @property
    def heard(self) -> tuple[Piece, ...]:
        """All sound that was played."""
        return joined(self._heard, self._rate)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The spans in which the agent spoke audibly."""
        return self._detector.spans

    @property
    def last_span(self) -> Span | None:
        """The latest span; it may still grow."""
        return self._detector.last

    def receive(self, samples: Samples, now: float) -> None:
        """Queue sound that has arrived."""
        if self._earpiece.receive(samples, now):
            self.arrivals.append(now)

    def mark(self, name: str) -> None:
        """Queue a mark after the sound received so far."""
        self._earpiece.mark(name)

    def clear(self, now: float) -> Cleared:
        """Discard what has not been played."""
        cleared = Cleared(now, self._earpiece.clear(now))
        self.clears.append(cleared)
        return cleared

    def listen(self, now: float) -> list[str]:
        """Process what was played up to ``now``. Returns the marks that became due."""
        pieces = joined(self._earpiece.take_heard(now), self._rate)
        for piece in pieces:
            self._detector.feed(piece.at, piece.samples)
            if self._on_played is not None:
                self._on_played(piece)
        if not pieces:
            self._detector.flush()
        self._heard += pieces
        return self._earpiece.take_due_marks()

    def hear_out(self, now: float) -> None:
        """Process what was played up to ``now``, including the last unfinished window: nothing follows."""
        self.listen(now)
        self._detector.flush()

    def seconds_queued(self) -> float:
        """How many seconds of sound wait to be played."""
        return self._earpiece.queued_samples / self._rate

    def silent_for(self, now: float) -> float:
        """Seconds since the agent's last sound; infinite when there was none."""
        return now - self._detector.last.end if self._detector.last else float("inf")

    def speaks(self, now: float) -> bool:
        """Whether the agent is speaking; a short pause does not count as silence."""
        return self.silent_for(now) < FELL_SILENT_SECONDS

    def has_spoken_for(self, seconds: float, since: float, now: float) -> bool:
        """Whether the agent is speaking and has spoken, since ``since``, for this long without a pause for breath."""
        utterance = self._detector.utterance(_BREATH_SECONDS)
        return utterance is not None and self.speaks(now) and now - max(utterance.start, since) >= seconds

    def has_finished(self, quiet: float, since: float, now: float) -> bool:
        """Whether the agent has spoken since ``since`` and then been quiet for ``quiet`` seconds.

        The rest of speech that had begun before counts only if it lasted for another half second.
        """
        last = self._detector.last
        if last is None or now - last.end < quiet:
            return False
        return last.start >= since or last.end > since + _WENT_ON_SECONDS
