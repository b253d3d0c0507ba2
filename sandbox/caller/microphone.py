"""The caller's outgoing sound: speech and coughs, encoded as wire frames in advance, and the frame that is next."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.caller.media_format import FRAME_SECONDS, MediaFormat
from sandbox.caller.span_detector import FULL_SCALE, trimmed
from sandbox.vendors.encodings import Samples

_COUGH_DBFS = -14.0


@dataclass(frozen=True, slots=True)
class Sound:
    """A prepared sound."""

    samples: Samples
    """The samples without silence at either end and without the line's noise."""
    frames: tuple[bytes, ...]
    """20 ms wire frames, the line's noise included."""
    seconds: float


class SoundMaker:
    """Prepares sounds for one format; the line's noise, if any, is white and the same each time."""

    def __init__(self, media_format: MediaFormat, noise_dbfs: float | None) -> None:
        self._format = media_format
        self._noise = np.zeros(media_format.sample_rate, dtype=np.int16)
        if noise_dbfs is not None:
            self._noise = _white_noise(media_format.sample_rate, noise_dbfs, seed=1)
        self.background = media_format.frames(self._noise)
        """One second of the line without speech."""

    def sound(self, samples: Samples) -> Sound:
        """Prepare a recording, without the silence around it."""
        voiced = trimmed(samples, self._format.sample_rate)
        noise = np.resize(self._noise, len(voiced))
        mixed = np.clip(voiced.astype(np.int32) + noise, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return Sound(voiced, self._format.frames(mixed), len(voiced) / self._format.sample_rate)

    def cough(self, seconds: float) -> Sound:
        """Prepare a burst of noise that decays to a tenth."""
        samples = round(seconds * self._format.sample_rate)
        burst = _white_noise(samples, _COUGH_DBFS, seed=2) * np.geomspace(1.0, 0.1, samples)
        return self.sound(burst.astype(np.int16))


class Microphone:
    """Delivers frame after frame: those of the current sound, otherwise the background."""

    def __init__(self, background: Sequence[bytes]) -> None:
        self._background = background
        self._coming: deque[bytes] = deque()
        self._given = 0

    @property
    def makes_sound(self) -> bool:
        """Whether a sound has frames left."""
        return bool(self._coming)

    def make(self, sound: Sound, now: float) -> float:
        """Begin a sound with the first frame that is not in the past. Returns the time of that frame.

        Both times are in seconds since the beginning of the first frame.
        """
        first = self._given + len(self._coming)
        while first < now / FRAME_SECONDS:
            self._coming.append(self._background[first % len(self._background)])
            first += 1
        self._coming.extend(sound.frames)
        return first * FRAME_SECONDS

    def next_frame(self) -> bytes:
        """The next 20 ms, as wire bytes."""
        frame = self._coming.popleft() if self._coming else self._background[self._given % len(self._background)]
        self._given += 1
        return frame


def _white_noise(samples: int, dbfs: float, *, seed: int) -> Samples:
    """Uniform noise of this level (RMS)."""
    peak = min(FULL_SCALE * 10 ** (dbfs / 20) * 3**0.5, FULL_SCALE - 1)
    return np.random.default_rng(seed).uniform(-peak, peak, samples).astype(np.int16)
