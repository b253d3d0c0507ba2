"""The audio encodings of the vendors: linear PCM, μ-law and A-law (ITU-T G.711), mono and little-endian."""

from functools import cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Encoding = Literal["pcm_s16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
Samples = npt.NDArray[np.int16]

SAMPLE_BYTES: Final[dict[Encoding, int]] = {"pcm_s16le": 2, "pcm_f32le": 4, "pcm_mulaw": 1, "pcm_alaw": 1}

_MULAW_BIAS = 0x84
_MULAW_ZERO = 0xFF
_MULAW_NEGATIVE_ZERO = 0x7F
_FULL_SCALE = 32768.0


def encode(samples: Samples, encoding: Encoding) -> bytes:
    """Encode samples as bytes."""
    match encoding:
        case "pcm_s16le":
            return samples.astype("<i2").tobytes()
        case "pcm_f32le":
            return (samples.astype("<f4") / np.float32(_FULL_SCALE)).tobytes()
        case "pcm_mulaw":
            return _mulaw_codes()[samples.view(np.uint16)].tobytes()
        case "pcm_alaw":
            return _alaw_codes()[samples.view(np.uint16)].tobytes()


def decode(audio: bytes, encoding: Encoding) -> Samples:
    """Decode bytes, whose length must be a whole number of samples."""
    match encoding:
        case "pcm_s16le":
            return np.frombuffer(audio, "<i2").astype(np.int16)
        case "pcm_f32le":
            scaled = np.frombuffer(audio, "<f4") * (_FULL_SCALE - 1)
            return np.clip(np.nan_to_num(scaled), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)
        case "pcm_mulaw":
            return _mulaw_levels()[np.frombuffer(audio, np.uint8)]
        case "pcm_alaw":
            return _alaw_levels()[np.frombuffer(audio, np.uint8)]


@cache
def _mulaw_levels() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _MULAW_BIAS << ((code >> 4) & 7)) - _MULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@cache
def _alaw_levels() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code >> 4) & 7
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@cache
def _mulaw_codes() -> npt.NDArray[np.uint8]:
    codes = _nearest_codes(_mulaw_levels())
    codes[codes == _MULAW_NEGATIVE_ZERO] = _MULAW_ZERO
    return codes


@cache
def _alaw_codes() -> npt.NDArray[np.uint8]:
    return _nearest_codes(_alaw_levels())


def _nearest_codes(levels: Samples) -> npt.NDArray[np.uint8]:
    """For every 16-bit sample, the code whose level is nearest to it."""
    order = np.argsort(levels, kind="stable")
    ascending = levels[order].astype(np.int32)
    borders = (ascending[:-1] + ascending[1:]) / 2
    samples = np.arange(65536, dtype=np.uint16).view(np.int16)
    return order[np.searchsorted(borders, samples)].astype(np.uint8)
