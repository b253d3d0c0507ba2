"""Where the caller's audio belongs in a call, worked out from when it came.

What comes in real time follows what came before. A pause of the caller's line is either a hole, for he sent nothing,
or a stall, after which everything comes at once; the audio behind it tells which, so it waits until that is known.
Positions and times are samples since the answer.
"""

_NEVER = -(1 << 62)
_JITTER_SECONDS = 0.06
"""Audio that comes so much later than the last ended follows it all the same."""
_SETTLES_SECONDS = 0.2
"""So long after the backlog of a stall has stopped coming faster than real time, it is complete."""
_HELD_SECONDS_MAX = 0.6
"""Of arrival. What a line that is still slower has held up is then taken to be as late as it looks."""


class ArrivalOrder:
    """Takes one side's audio as it comes, and gives it back, in order, with its place.

    Audio behind a pause is held for 0.2 to 0.6 s, until its place is certain: the earliest that any of it allows, as
    nothing comes before it was said. At the beginning of a call everything waits so, and may be from before it.
    """

    def __init__(self, sample_rate: int) -> None:
        self._jitter = round(_JITTER_SECONDS * sample_rate)
        self._settles = round(_SETTLES_SECONDS * sample_rate)
        self._held_max = round(_HELD_SECONDS_MAX * sample_rate)
        self._end = _NEVER
        """Of what has its place."""
        self._held: list[tuple[int, bytes]] = []
        """Samples after the beginning of what is held, and audio."""
        self._held_samples = 0
        self._start = 0
        """Where what is held begins, by what is known so far."""
        self._held_since = 0
        self._moved_at = 0

    def place(self, audio: bytes, samples: int, arrival: int) -> list[tuple[int, bytes]]:
        """The next audio, whose first sample came at ``arrival``; gives what has its place now, with its first sample.

        What is held is bounded by what can come in 0.6 s.
        """
        placed: list[tuple[int, bytes]] = []
        if not samples:
            return placed
        if self._held and arrival - self._start - self._held_samples > self._jitter:
            placed = self.flush()
        if not self._held and arrival - self._end <= self._jitter:
            placed.append((self._end, audio))
            self._end += samples
            return placed
        self._hold(audio, samples, arrival)
        return placed + self.flush() if self._is_settled(arrival) else placed

    def flush(self) -> list[tuple[int, bytes]]:
        """What is held, with the best place that is known."""
        start = self._end if self._has_caught_up else self._start
        placed = [(start + offset, audio) for offset, audio in self._held]
        if placed:
            self._end = start + self._held_samples
        self._held = []
        self._held_samples = 0
        return placed

    def _hold(self, audio: bytes, samples: int, arrival: int) -> None:
        start = max(arrival - self._held_samples, self._end)
        if not self._held:
            self._held_since = arrival
        if not self._held or start < self._start:
            self._start, self._moved_at = start, arrival
        self._held.append((self._held_samples, audio))
        self._held_samples += samples

    @property
    def _has_caught_up(self) -> bool:
        """Whether it fills the pause before it."""
        return self._start - self._end <= self._jitter

    def _is_settled(self, arrival: int) -> bool:
        long_enough = arrival - self._moved_at >= self._settles or arrival - self._held_since >= self._held_max
        return self._has_caught_up or long_enough
