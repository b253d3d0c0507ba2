"""Sounds without words: steady noise of a line or a street, and short ones, such as a cough.

The same seed gives the same sound.
"""

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from sandbox.caller.span_detector import FULL_SCALE
from sandbox.vendors.encodings import Samples

NoiseKind = Literal["white", "street"]
BurstKind = Literal["cough", "knock", "rustle"]
BURSTS: Final[tuple[BurstKind, ...]] = get_args(BurstKind)

_BURST_DBFS: Final[dict[BurstKind, float]] = {"cough": -14.0, "knock": -12.0, "rustle": -24.0}
_KNOCKS_EVERY_SECONDS = 0.12
_SWELLS_PER_SECOND = 0.5
_SWELL_DB = 3.0


def noise(kind: NoiseKind, samples: int, sample_rate: int, dbfs: float, *, seed: int) -> Samples:
    """Steady noise of this level (RMS): white, or that of a street, which is deeper and swells and fades by 3 dB."""
    if kind == "white":
        return white_noise(samples, dbfs, seed=seed)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / sample_rate)
    deep = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 60.0)) * (hertz > 40.0), samples)
    seconds = np.arange(samples) / sample_rate
    swelling = deep * 10 ** (_SWELL_DB * np.sin(2 * np.pi * _SWELLS_PER_SECOND * seconds) / 20)
    return _at_level(swelling, dbfs)


def burst(kind: BurstKind, seconds: float, sample_rate: int, *, seed: int = 2) -> Samples:
    """A short sound: a cough (noise that decays to a tenth), knocks on a table, or the rustle of paper."""
    count = round(seconds * sample_rate)
    sound = white_noise(count, _BURST_DBFS[kind], seed=seed).astype(np.float64)
    at = np.arange(count) / sample_rate
    if kind == "knock":
        sound *= np.exp(-(at % _KNOCKS_EVERY_SECONDS) / 0.015)
    elif kind == "cough":
        sound *= np.geomspace(1.0, 0.1, count)
    made: Samples = sound.astype(np.int16)
    return made


def white_noise(samples: int, dbfs: float, *, seed: int) -> Samples:
    """Uniform noise of this level (RMS)."""
    peak = min(FULL_SCALE * 10 ** (dbfs / 20) * 3**0.5, FULL_SCALE - 1)
    sound: Samples = np.random.default_rng(seed).uniform(-peak, peak, samples).astype(np.int16)
    return sound


def _at_level(sound: npt.NDArray[np.float64], dbfs: float) -> Samples:
    scaled = sound / np.sqrt(np.mean(sound * sound)) * FULL_SCALE * 10 ** (dbfs / 20)
    made: Samples = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return made
