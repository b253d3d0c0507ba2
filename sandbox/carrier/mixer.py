"""The mixer between a room and a telephone: a jitter buffer like LiveKit SIP's."""

import numpy as np

from sandbox.vendors.encodings import Samples


class Mixer:
    """Receives sound as it arrives and delivers 20 ms every 20 ms, as LiveKit SIP does.

    It starts once it has 60 ms, and again after it has run dry. Beyond 100 ms it drops the oldest sound.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame = sample_rate // 50
        self._prefill = 3 * self._frame
        self._most = 5 * self._frame
        self._waiting = np.zeros(0, dtype=np.int16)
        self._flows = False
        self.dropped_samples = 0

    def receive(self, samples: Samples) -> None:
        """Queue sound."""
        self._waiting = np.concatenate([self._waiting, samples])
        excess = len(self._waiting) - self._most
        if excess > 0:
            self._waiting = self._waiting[excess:]
            self.dropped_samples += excess
        self._flows = self._flows or len(self._waiting) >= self._prefill

    def next_frame(self) -> Samples:
        """The next 20 ms; silence while the buffer fills."""
        if not self._flows or len(self._waiting) < self._frame:
            self._flows = False
            return np.zeros(self._frame, dtype=np.int16)
        frame, self._waiting = self._waiting[: self._frame], self._waiting[self._frame :]
        return frame
