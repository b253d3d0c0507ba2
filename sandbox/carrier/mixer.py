"""The mixer that stands between a room and a telephone."""

import numpy as np

from sandbox.vendors.encodings import Samples


class Mixer:
    """Takes sound as it comes and gives 20 ms each 20 ms, as LiveKit SIP does.

    It begins when 60 ms have come, again after it has run dry; of more than 100 ms the oldest are dropped.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame = sample_rate // 50
        self._prefill = 3 * self._frame
        self._most = 5 * self._frame
        self._waiting = np.zeros(0, dtype=np.int16)
        self._flows = False
        self.dropped_samples = 0

    def receive(self, samples: Samples) -> None:
        """More sound."""
        self._waiting = np.concatenate([self._waiting, samples])
        excess = len(self._waiting) - self._most
        if excess > 0:
            self._waiting = self._waiting[excess:]
            self.dropped_samples += excess
        self._flows = self._flows or len(self._waiting) >= self._prefill

    def next_frame(self) -> Samples:
        """20 ms; silence while it fills."""
        if not self._flows or len(self._waiting) < self._frame:
            self._flows = False
            return np.zeros(self._frame, dtype=np.int16)
        frame, self._waiting = self._waiting[: self._frame], self._waiting[self._frame :]
        return frame
