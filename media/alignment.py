"""Whole samples out of messages that may end within one."""

import numpy as np

_CLEARLY = 2.0
"""How much rougher sound is at least when it is read one byte off; mostly it is a hundred times."""


class SampleAligner:
    """Keeps the bytes of a sample that has not come whole, and puts them before the next message.

    A far end that cuts a stream of bytes anywhere continues the sample in its next message. One that sends a stray byte
    does not, and putting the byte before the next message would turn all that follows into noise. Both lengths fit
    then, so the sound decides: 16-bit sound read one byte off jumps from sample to sample far more than it does as it
    was meant.
    """

    def __init__(self, frame_bytes: int) -> None:
        """``frame_bytes``: one 16-bit sample of each channel; 1 for sound whose samples are single bytes."""
        self._frame_bytes = frame_bytes
        self._kept = b""
        self.dropped_bytes = 0
        """Stray bytes that belonged to no sample."""

    def whole(self, message: bytes) -> bytes:
        """The whole samples there are now; may be empty."""
        if not message:
            return b""
        if self._kept and len(message) % self._frame_bytes == 0 and self._is_stray(message):
            self.dropped_bytes += len(self._kept)
            self._kept = b""
        audio = self._kept + message
        end = len(audio) - len(audio) % self._frame_bytes
        self._kept = audio[end:]
        return audio[:end]

    def _is_stray(self, message: bytes) -> bool:
        joined = self._kept + message[: -len(self._kept)]
        return _CLEARLY * self._roughness(message) < self._roughness(joined)

    def _roughness(self, audio: bytes) -> float:
        """How far a channel jumps from one sample to the next, on average."""
        samples = np.frombuffer(audio, "<i2").astype(np.int32)
        channels = self._frame_bytes // 2
        if len(samples) <= channels:
            return 0.0
        return float(np.abs(samples[channels:] - samples[:-channels]).mean())
