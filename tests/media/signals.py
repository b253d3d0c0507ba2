"""Sounds to test with: the same every time. Levels are in dB below full scale, as the root of the mean square."""

import numpy as np
import numpy.typing as npt

from media.formats import AudioFormat
from media.g711 import pcm_to_mulaw

Signal = npt.NDArray[np.float64]
"""Samples in the range of 16 bits."""

_FULL_SCALE = 1 << 15


def at_level(signal: Signal, level_db: float) -> Signal:
    """The signal made so loud."""
    return signal * (_FULL_SCALE * 10 ** (level_db / 20) / float(np.sqrt(np.mean(signal**2))))


def silence(seconds: float, rate: int) -> Signal:
    return np.zeros(round(seconds * rate))


def tone(hertz: float, seconds: float, rate: int, level_db: float = -20) -> Signal:
    return at_level(np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate), level_db)


def noise(seconds: float, rate: int, level_db: float = -40, seed: int = 0) -> Signal:
    """White noise."""
    return at_level(np.random.default_rng(seed).normal(size=round(seconds * rate)), level_db)


def pink_noise(seconds: float, rate: int, level_db: float = -40, seed: int = 0) -> Signal:
    """The noise of rooms and streets: as much power in each octave."""
    white = noise(seconds, rate, seed=seed)
    spectrum = np.fft.rfft(white)
    return at_level(np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), len(white)), level_db)


def speech(seconds: float, rate: int, level_db: float = -20, seed: int = 0) -> Signal:
    """Something with the rhythm of speech: syllables of a gliding voice and hissing consonants, pauses between phrases.

    The level is that of the voiced stretches together, without the pauses.
    """
    rng = np.random.default_rng(seed)
    pieces: list[Signal] = []
    total, syllables_left = 0, int(rng.integers(3, 9))
    while total < seconds * rate:
        if syllables_left:
            pieces += [_consonant(rng, rate), _vowel(rng, rate)]
            syllables_left -= 1
        else:
            pieces.append(silence(rng.uniform(0.25, 0.6), rate))
            syllables_left = int(rng.integers(3, 9))
        total = sum(map(len, pieces))
    whole = np.concatenate(pieces)[: round(seconds * rate)]
    return whole * (_FULL_SCALE * 10 ** (level_db / 20) / float(np.sqrt(np.mean(whole[whole != 0] ** 2))))


def _consonant(rng: np.random.Generator, rate: int) -> Signal:
    """A closure, then a burst or a hiss, 15 to 25 dB below the vowels."""
    closure = silence(rng.uniform(0.0, 0.05), rate)
    hiss = rng.normal(size=round(rng.uniform(0.02, 0.08) * rate)) * 10 ** (rng.uniform(-1.25, -0.75))
    return np.concatenate([closure, hiss])


def _vowel(rng: np.random.Generator, rate: int) -> Signal:
    """A voice of 90 to 220 Hz with two formants, swelling and dying."""
    count = round(rng.uniform(0.06, 0.2) * rate)
    pitch = np.linspace(rng.uniform(90, 220), rng.uniform(90, 220), count)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = rng.uniform([300, 900], [800, 2200])
    voice = np.zeros(count)
    for harmonic in range(1, 16):
        strength = sum(1 / (1 + ((harmonic * pitch.mean() - formant) / 150) ** 2) for formant in formants)
        voice += strength * np.sin(harmonic * phase)
    swell = np.sin(np.linspace(0.15, np.pi - 0.1, count)) ** 0.7
    return at_level(voice * swell, 0) / _FULL_SCALE * rng.uniform(0.4, 1.3)


def mixed(*signals: Signal) -> Signal:
    """All at once; the shorter ones are followed by silence."""
    whole = np.zeros(max(map(len, signals)))
    for signal in signals:
        whole[: len(signal)] += signal
    return whole


def encoded(signal: Signal, audio_format: AudioFormat) -> bytes:
    """As bytes of the format; what is too loud is clipped."""
    pcm = np.clip(np.round(signal), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
    return pcm_to_mulaw(pcm) if audio_format.encoding == "mulaw" else pcm


def frames(audio: bytes, audio_format: AudioFormat, seconds: float = 0.02) -> list[bytes]:
    """Cut as it would come over the line; the last one may be shorter."""
    size = round(seconds * audio_format.sample_rate) * audio_format.sample_bytes
    return [audio[start : start + size] for start in range(0, len(audio), size)]
