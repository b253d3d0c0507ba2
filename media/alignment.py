"""Cuts a byte stream into whole samples, though its messages may end in the middle of one."""

import numpy as np

_CLEARLY = 2.0
"""Audio that is read one byte off is at least this many times rougher; usually a hundred times."""


class SampleAligner:
    """Keeps the first bytes of an incomplete sample and puts them before the next message.

    A far end that cuts its byte stream anywhere continues the sample in the next message. A far end that sends a stray
    byte does not, and to keep that byte would turn all further audio into noise. When the next message has whole
    samples by itself, both readings fit, and the audio decides: 16-bit audio that is read one byte off jumps far more
    from sample to sample.
    """

    def __init__(self, frame_bytes: int) -> None:
        """``frame_bytes``: one 16-bit sample of each channel; 1 for audio whose samples are single bytes."""
        self._frame_bytes = frame_bytes
        self._kept = b""
        self.dropped_bytes = 0
        """Stray bytes, which belonged to no sample."""

    def whole(self, message: bytes) -> bytes:
        """The whole samples that are complete with this message; may be empty."""
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
        """The mean jump of a channel from one sample to the next."""
        samples = np.frombuffer(audio, "<i2").astype(np.int32)
        channels = self._frame_bytes // 2
        if len(samples) <= channels:
            return 0.0
        return float(np.abs(samples[channels:] - samples[:-channels]).mean())
