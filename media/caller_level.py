"""How loud this caller speaks, so that a quieter voice behind them is known for one.

Levels are powers in squared 16-bit sample units, as :class:`media.vad.LevelMeter` measures them: the loudest 50 ms,
which a syllable reaches early.
"""

from collections import deque
from collections.abc import Sequence

_SYLLABLE_WINDOWS = 5
_TURNS = 3
_BARELY_HEARD = 10**-1.3
"""13 dB below the caller's own level no syllable of theirs begins, nor any noise that matters."""
_FAINT = 10**-1.0
"""A voice 12 dB down may reach 10 dB in its loudest moment, and a caller does so within a word."""


class CallerLevel:
    """The level of the caller's last turns, and of the sound that is heard now."""

    def __init__(self) -> None:
        self._turns: deque[float] = deque(maxlen=_TURNS)
        self._turn = 0.0
        self._sound = 0.0

    def sound_started(self) -> None:
        """A new sound begins."""
        self._sound = 0.0

    def hear(self, powers: Sequence[float], new: int, *, is_callers: bool) -> None:
        """Take the latest windows, of which ``new`` were not taken before, and whether the sound is the caller's."""
        recent = powers[-(new + _SYLLABLE_WINDOWS - 1) :]
        means = [sum(recent[at : at + _SYLLABLE_WINDOWS]) for at in range(len(recent) - _SYLLABLE_WINDOWS + 1)]
        self._sound = max(self._sound, max(means, default=0.0) / _SYLLABLE_WINDOWS)
        if is_callers:
            self._turn = max(self._turn, self._sound)

    def turn_ended(self) -> None:
        """The caller has finished a turn with words."""
        if self._turn:
            self._turns.append(self._turn)
        self._turn = 0.0

    @property
    def is_barely_heard(self) -> bool:
        """Whether this sound is so quiet until now that it need not be noticed; no before the caller's first turn."""
        return self._sound < self._own * _BARELY_HEARD

    @property
    def is_faint(self) -> bool:
        """Whether this sound is much quieter than the caller was in any of the last turns; no before the first."""
        return self._sound < self._own * _FAINT

    @property
    def _own(self) -> float:
        return max(self._turns, default=0.0)
