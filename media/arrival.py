"""Finds the place of the caller's audio on the timeline of the call, from the time at which it arrived.

Audio that arrives in real time follows the audio before it. A pause in arrival is either a gap (the caller sent
nothing) or a stall (the network held the audio back, and then delivers it all at once). Only the audio after the pause
shows which it was, so that audio is held until it is known::

    gap     aaaa........bbbb     b arrives at real-time speed   b keeps the time of its arrival
    stall   aaaa........bbbbbbb  b arrives faster than that     b follows a

Positions and times are samples since the answer.
"""

_NEVER = -(1 << 62)
_JITTER_SECONDS = 0.06
"""Audio that arrives up to this much after the last has ended still follows it directly."""
_SETTLES_SECONDS = 0.2
"""The backlog of a stall is complete once this time has passed without audio that came faster than real time."""
_HELD_SECONDS_MAX = 0.6
"""The longest time, by arrival, that audio is held. A backlog that takes longer keeps the place it has by then."""


class ArrivalOrder:
    """Takes one side's audio as it arrives and returns it in order, each piece with its position.

    Audio after a pause is held for 0.2 to 0.6 s, until its position is certain: the earliest that any piece of it
    allows, because audio cannot arrive before it was spoken. The first audio of a call is held in the same way, and its
    position may be before the answer.
    """

    def __init__(self, sample_rate: int) -> None:
        self._jitter = round(_JITTER_SECONDS * sample_rate)
        self._settles = round(_SETTLES_SECONDS * sample_rate)
        self._held_max = round(_HELD_SECONDS_MAX * sample_rate)
        self._end = _NEVER
        """The end of the audio whose position is settled."""
        self._held: list[tuple[int, bytes]] = []
        """The held audio: each piece with its offset from the first, in samples."""
        self._held_samples = 0
        self._start = 0
        """The position of the first held sample, as far as it is known by now."""
        self._held_since = 0
        self._moved_at = 0

    def place(self, audio: bytes, samples: int, arrival: int) -> list[tuple[int, bytes]]:
        """Add audio whose first sample arrived at ``arrival``; returns (position, audio) of what is settled now.

        At most the audio that can arrive in 0.6 s is held.
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
        """Return the held audio with the best position that is known."""
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
        """Whether the held audio fills the pause before it, so that the pause was a stall."""
        return self._start - self._end <= self._jitter

    def _is_settled(self, arrival: int) -> bool:
        long_enough = arrival - self._moved_at >= self._settles or arrival - self._held_since >= self._held_max
        return self._has_caught_up or long_enough
