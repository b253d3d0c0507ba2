"""Finds a place to cut speech whose words have no times: the quietest moment nearby."""

import numpy as np

from media.formats import AudioFormat
from media.g711 import mulaw_to_pcm

_WINDOW_SECONDS = 0.02
_STEP_SECONDS = 0.005


def quietest_near(audio: bytes, audio_format: AudioFormat, position: int, reach: int) -> int:
    """The middle of the quietest 20 ms at most ``reach`` samples from ``position``; of equal ones the nearest.

    ``position`` itself when there is not enough audio around it.
    """
    pcm = mulaw_to_pcm(audio) if audio_format.encoding == "mulaw" else audio
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    window, step = (max(1, int(seconds * audio_format.sample_rate)) for seconds in (_WINDOW_SECONDS, _STEP_SECONDS))
    middles = [
        middle
        for middle in range(position - reach, position + reach + 1, step)
        if window // 2 <= middle <= len(samples) - window // 2
    ]

    def loudness(middle: int) -> tuple[float, int]:
        piece = samples[middle - window // 2 : middle + window // 2]
        return float(np.square(piece).mean()), abs(middle - position)

    return min(middles, key=loudness, default=position)
