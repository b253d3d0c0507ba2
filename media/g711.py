"""G.711 μ-law, the codec of the telephone network: 8 bits per sample, 14 bits of range (ITU-T G.711, table 2a)."""

import numpy as np
import numpy.typing as npt

from media.errors import BadAudio

_BIAS = 33
"""Added to a 14-bit magnitude, so that the segments start at powers of two."""
_CLIP = 8158
"""The largest 14-bit magnitude that has a code of its own."""


def _decoding_table() -> npt.NDArray[np.int16]:
    """The sample of each of the 256 codes; a code is sent with all its bits inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    magnitude = (((step << 1) + _BIAS) << segment) - _BIAS
    samples: npt.NDArray[np.int16] = (np.where(code & 0x80, -magnitude, magnitude) * 4).astype("<i2")
    return samples


def _encoding_table() -> npt.NDArray[np.uint8]:
    """The code of each 16-bit sample, in the order of the samples read as unsigned: 0 ... 32767, -32768 ... -1."""
    sample = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    segment = np.frexp(magnitude)[1] - 6  # the position of the highest bit: magnitudes 32 ... 63 are segment 0
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 15) | np.where(sample < 0, 0x80, 0)
    inverted: npt.NDArray[np.uint8] = ~code.astype(np.uint8)
    return inverted


DECODING: npt.NDArray[np.int16] = _decoding_table()
"""The 16-bit sample of each code."""
_ENCODING = _encoding_table()


def mulaw_to_pcm(audio: bytes) -> bytes:
    """16-bit little-endian samples of μ-law codes: twice as many bytes."""
    return DECODING[np.frombuffer(audio, np.uint8)].tobytes()


def pcm_to_mulaw(audio: bytes) -> bytes:
    """μ-law codes of 16-bit little-endian samples: half as many bytes. Raises BadAudio for half a sample."""
    if len(audio) % 2:
        raise BadAudio("16-bit audio of an odd number of bytes")
    codes: bytes = _ENCODING[np.frombuffer(audio, "<u2")].tobytes()
    return codes
