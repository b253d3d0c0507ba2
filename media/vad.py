"""Voice activity detection by energy: is there sound on the line? It does not tell speech from other sound.

Cheap enough for every frame of every call.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

import numpy as np

from media.formats import AudioFormat
from media.g711 import DECODING

WINDOW_SECONDS = 0.01
"""The unit in which loudness is measured."""

ONSET_WINDOWS = 5
"""This many windows must be loud: 40 ms of sound touch five windows, a click of 30 ms touches four."""

HANGOVER_WINDOWS = 20
"""This many quiet windows end the sound: longer than the gap of a plosive, shorter than a pause for breath."""

RECENT_WINDOWS = 40
"""How many windows ``recent_powers`` keeps."""

_FULL_SCALE = float(1 << 15) ** 2
_QUIETEST_SOUND = _FULL_SCALE * 10**-5.6
"""56 dB below full scale: nothing quieter is sound, however low the noise."""
_ABOVE_NOISE = 10**0.9
"""Sound begins 9 dB above the noise floor; the level of steady noise varies by less."""
_HYSTERESIS = 10**-0.2
"""A sound continues down to 2 dB below the level at which it begins."""
_RAISE = 10**0.6
_RAISES = 2
_DEAD = _FULL_SCALE * 10**-8.0
"""Below -80 dB the line delivers nothing: a lost frame or two say nothing about the noise ..."""
_DEAD_WINDOWS = 5
"""... but this many such windows in a block are real silence."""
_BLOCK_WINDOWS = 10
_FLOOR_BLOCKS = 15
"""The noise floor is the lowest level of the last 1.5 s: nobody speaks that long without a gap; noise has no gaps."""

_MULAW_LEVELS = np.stack([DECODING, DECODING]).astype(np.float64) ** [[1], [2]]
"""For each μ-law byte, its sample and the square of its sample."""


@dataclass(frozen=True, slots=True)
class SoundStarted:
    """There has been sound for about 40 ms."""

    at_sample: int
    """The first sample of the sound, within 10 ms."""


@dataclass(frozen=True, slots=True)
class SoundStopped:
    """There has been no sound for 200 ms."""

    at_sample: int
    """The sample after the last one of the sound, within 10 ms."""


class LevelMeter:
    """Cuts a stream into windows of 10 ms and measures the power of each, in squared 16-bit sample units."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._mulaw = audio_format.encoding == "mulaw"
        self.window_samples = int(audio_format.sample_rate * WINDOW_SECONDS)
        self._window_bytes = self.window_samples * audio_format.sample_bytes
        self._share = np.full(self.window_samples, 1 / self.window_samples)
        self._rest = b""

    def measure(self, audio: bytes) -> list[float]:
        """The powers of the windows that this piece completes: the variance, so that a constant offset has none."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % self._window_bytes
        self._rest = audio[whole:]
        means, squares = self._means(audio[:whole])
        return [square - mean * mean for square, mean in zip(squares, means, strict=True)]

    def _means(self, audio: bytes) -> list[list[float]]:
        """For each window, the mean of its samples and the mean of their squares."""
        if self._mulaw:
            levels = _MULAW_LEVELS.take(np.frombuffer(audio, np.uint8), axis=1)
            means: list[list[float]] = levels.reshape(2, -1, self.window_samples).dot(self._share).tolist()
            return means
        samples = np.frombuffer(audio, "<i2").astype(np.float64).reshape(-1, self.window_samples)
        return [samples.dot(self._share).tolist(), (samples * samples).dot(self._share).tolist()]


class _NoiseFloor:
    """The lowest power of the last 1.5 s; infinite before the first window."""

    def __init__(self) -> None:
        self._blocks: deque[float] = deque(maxlen=_FLOOR_BLOCKS)
        self._lowest = inf
        self._windows = 0
        self._dead_windows = 0
        self.power = inf

    def add(self, power: float) -> None:
        if power > _DEAD:
            self._lowest = min(self._lowest, power)
        else:
            self._dead_windows += 1
            if self._dead_windows == _DEAD_WINDOWS:
                self._lowest = 0.0
        self._windows += 1
        self.power = min(self.power, self._lowest)
        if self._windows == _BLOCK_WINDOWS:
            self._blocks.append(self._lowest)
            self.power = min(self._blocks)
            self._lowest, self._windows, self._dead_windows = inf, 0, 0


class SoundDetector:
    """Reports when sound starts and stops, timed by the audio itself.

    Sound is at least 9 dB above the noise floor and above -56 dB of full scale. The floor is the quietest moment of the
    last 1.5 s. So steady noise of any level counts as sound for less than 2 s, and never if the line began with it.
    A start is reported at most 60 ms after its first sample (one frame later if the audio comes in frames), a stop 200
    to 210 ms after its last::

        sound          ______########____________
        SoundStarted           |  at_sample = the first # (up to 60 ms ago)
        SoundStopped                     |  at_sample = after the last # (200 to 210 ms ago)
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._meter = LevelMeter(audio_format)
        self._floor = _NoiseFloor()
        self._sample_bytes = audio_format.sample_bytes
        self._window_samples = self._meter.window_samples
        self._bytes = 0
        self._windows = 0
        self._threshold_factor = 1.0
        self._raises = 0
        self._loud_windows = 0
        self._loud_since = 0
        self._last_loud = 0
        self.sounding = False
        """Whether a sound has started and has not stopped."""
        self.recent_powers: deque[float] = deque(maxlen=RECENT_WINDOWS)
        """The powers of the last 400 ms, one for each window of 10 ms, oldest first."""

    @property
    def position(self) -> int:
        """Samples fed so far."""
        return self._bytes // self._sample_bytes

    @property
    def measured_windows(self) -> int:
        """Whole windows so far."""
        return self._windows

    @property
    def measured_samples(self) -> int:
        """Samples in whole windows so far: where ``recent_powers`` ends."""
        return self._windows * self._window_samples

    @property
    def noise_power(self) -> float:
        """The noise floor, in the same unit as ``recent_powers``; infinite before the first window."""
        return self._floor.power

    @property
    def last_sound_sample(self) -> int:
        """The sample after the last sample of sound so far, within 10 ms; 0 when there was none."""
        return self._last_loud * self._window_samples

    def feed(self, audio: bytes) -> list[SoundStarted | SoundStopped]:
        """Measure the next piece of audio, of any length; returns the starts and stops it completes, in order."""
        self._bytes += len(audio)
        events: list[SoundStarted | SoundStopped] = []
        for power in self._meter.measure(audio):
            self.recent_powers.append(power)
            self._floor.add(power)
            self._windows += 1
            event = self._continue(power) if self.sounding else self._begin(power)
            if event:
                events.append(event)
        return events

    def raise_threshold(self) -> None:
        """Raise the threshold by 6 dB after a false alarm; at most twice, because more would miss callers."""
        if self._raises < _RAISES:
            self._raises += 1
            self._threshold_factor *= _RAISE

    def _threshold(self) -> float:
        return max(_QUIETEST_SOUND, self._floor.power * _ABOVE_NOISE) * self._threshold_factor

    def _begin(self, power: float) -> SoundStarted | None:
        """Handle a window during silence. A quiet window cancels one loud one, so a sound may begin with a stutter."""
        if power <= self._threshold():
            self._loud_windows = max(0, self._loud_windows - 1)
            return None
        if not self._loud_windows:
            self._loud_since = self._windows - 1
        self._loud_windows += 1
        if self._loud_windows < ONSET_WINDOWS:
            return None
        self.sounding, self._loud_windows, self._last_loud = True, 0, self._windows
        return SoundStarted(self._loud_since * self._window_samples)

    def _continue(self, power: float) -> SoundStopped | None:
        """Handle a window during sound."""
        if power > self._threshold() * _HYSTERESIS:
            self._last_loud = self._windows
        if self._windows - self._last_loud < HANGOVER_WINDOWS:
            return None
        self.sounding = False
        return SoundStopped(self.last_sound_sample)
