"""The echo at the caller's end: what they hear of the agent comes back into their microphone, later and quieter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.caller.earpiece import Piece

_LONGEST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class EchoPath:
    """How a loudspeaker, a room or a bad line returns sound."""

    delay_seconds: float
    """From the caller's ear to their microphone: 0.02 (one frame) to 2."""
    loss_db: float
    """How much quieter it comes back."""

    def __post_init__(self) -> None:
        if not 0.02 <= self.delay_seconds <= 2:
            raise ValueError("an echo comes back after 0.02 to 2 seconds")


class EchoReturn:
    """Remembers what was played to the caller, and returns it by a path. Times are seconds since ``ready``."""

    def __init__(self, path: EchoPath, sample_rate: int) -> None:
        self._rate = sample_rate
        self._delay = round(path.delay_seconds * sample_rate)
        self._gain = 10 ** (-path.loss_db / 20)
        self._ring = np.zeros(round(_LONGEST_SECONDS * sample_rate), np.float32)

    def hear(self, piece: Piece) -> None:
        """Note what was played."""
        self._ring[self._places(round(piece.at * self._rate), len(piece.samples))] = piece.samples

    def take(self, first: int, count: int) -> npt.NDArray[np.float32]:
        """What reaches the microphone in these samples, counted from ``ready``; each can be taken once."""
        places = self._places(first - self._delay, count)
        echo: npt.NDArray[np.float32] = self._ring[places] * np.float32(self._gain)
        self._ring[places] = 0.0
        return echo

    def _places(self, first: int, count: int) -> npt.NDArray[np.intp]:
        return (first + np.arange(count)) % len(self._ring)
