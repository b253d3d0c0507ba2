"""The caller's outgoing sound: speech and coughs, encoded as wire frames in advance, and the frame that is next."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.caller.echo_path import EchoReturn
from sandbox.caller.media_format import FRAME_SECONDS, MediaFormat
from sandbox.caller.noises import BurstKind, NoiseKind, burst, noise
from sandbox.caller.span_detector import FULL_SCALE, spans_of, trimmed
from sandbox.vendors.encodings import Samples
from sandbox.vendors.voice import SpokenWord

_NOISE_SECONDS = {"white": 1, "street": 8}
"""After so long the noise begins again."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A prepared sound."""

    samples: Samples
    """The samples without silence at either end and without the line's noise."""
    frames: tuple[bytes, ...]
    """20 ms wire frames, the line's noise included."""
    seconds: float
    words: tuple[SpokenWord, ...] = ()
    """The words, timed from the first sample, where they are known."""


class SoundMaker:
    """Prepares sounds for one format; the line's noise, if any, is the same each time."""

    def __init__(self, media_format: MediaFormat, noise_dbfs: float | None, kind: NoiseKind = "white") -> None:
        self._format = media_format
        rate = media_format.sample_rate
        self._noise = np.zeros(rate, dtype=np.int16)
        if noise_dbfs is not None:
            self._noise = noise(kind, rate * _NOISE_SECONDS[kind], rate, noise_dbfs, seed=1)
        self.background = media_format.frames(self._noise)
        """The line without speech."""

    def sound(self, samples: Samples, words: Sequence[SpokenWord] = (), *, loss_db: float = 0.0) -> Sound:
        """Prepare a recording, without the silence around it, and quieter by ``loss_db``."""
        rate = self._format.sample_rate
        voiced = (trimmed(samples, rate) * 10 ** (-loss_db / 20)).astype(np.int16)
        mixed = voiced.astype(np.int32) + np.resize(self._noise, len(voiced))
        frames = self._format.frames(np.clip(mixed, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16))
        cut = spans_of(samples, rate)[0].start if words else 0.0
        timed = (SpokenWord(word.text, max(word.start - cut, 0.0), word.end - cut) for word in words)
        return Sound(voiced, frames, len(voiced) / rate, tuple(timed))

    def burst(self, kind: BurstKind, seconds: float) -> Sound:
        """Prepare a short sound without words."""
        return self.sound(burst(kind, seconds, self._format.sample_rate))


class Microphone:
    """Delivers frame after frame: those of the current sound, else the background, and in both the echo, if any."""

    def __init__(self, background: Sequence[bytes], media_format: MediaFormat, echo: EchoReturn | None = None) -> None:
        self._background = background
        self._format = media_format
        self._echo = echo
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
        if self._echo is not None:
            size = self._format.frame_samples
            mixed = self._format.decode(frame) + self._echo.take(self._given * size, size)
            frame = self._format.encode(np.clip(mixed, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16))
        self._given += 1
        return frame
