"""The audio formats of the native media protocol."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sandbox.vendors.encodings import Encoding, Samples, decode, encode

FRAME_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """A format of mono audio; ``mulaw`` exists at 8000 Hz only. Raises ValueError for other rates."""

    encoding: Literal["pcm_s16le", "mulaw"] = "pcm_s16le"
    sample_rate: int = 16000
    """Hertz."""

    def __post_init__(self) -> None:
        if self.encoding == "mulaw" and self.sample_rate != 8000:
            raise ValueError("mulaw has a sample rate of 8000 only")

    @property
    def frame_samples(self) -> int:
        """Samples per 20 ms frame."""
        return round(self.sample_rate * FRAME_SECONDS)

    def encode(self, samples: Samples) -> bytes:
        """Encode samples as wire bytes."""
        return encode(samples, self._coding)

    def decode(self, audio: bytes) -> Samples:
        """Decode wire bytes. Raises ValueError for half a sample."""
        return decode(audio, self._coding)

    def frames(self, samples: Samples) -> tuple[bytes, ...]:
        """Encode as 20 ms wire frames; the last one is padded with silence."""
        size = self.frame_samples
        padded = np.zeros(-(-len(samples) // size) * size, dtype=np.int16)
        padded[: len(samples)] = samples
        return tuple(self.encode(frame) for frame in padded.reshape(-1, size))

    @property
    def _coding(self) -> Encoding:
        return "pcm_mulaw" if self.encoding == "mulaw" else "pcm_s16le"
