"""WAV files as they come from anywhere, read into plain samples."""

import io
import wave

import numpy as np
import soxr
from numpy.typing import NDArray

from media.errors import BadAudio

_WAV_RATES = range(4000, 192001)
_WAV_CHANNELS = range(1, 17)
_WAV_WIDTHS = range(1, 5)


def read_wav(data: bytes, sample_rate: int) -> bytes:
    """Convert a WAV file of any rate to mono 16-bit little-endian samples at ``sample_rate``. Raises BadAudio."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk that ends outside the file
        raise BadAudio(f"the WAV file cannot be read: {error!r}; use PCM") from error
    if rate not in _WAV_RATES or channels not in _WAV_CHANNELS or width not in _WAV_WIDTHS:
        raise BadAudio(
            f"the WAV file has {channels} channels of {width * 8} bits at {rate} Hz; "
            "1 to 16 channels of 8 to 32 bits at 4000 to 192000 Hz can be read"
        )
    if len(frames) % (width * channels):
        raise BadAudio("the WAV file ends in the middle of a sample")
    if not frames:
        raise BadAudio("the WAV file has no audio")
    mono = _samples(frames, width).reshape(-1, channels).mean(axis=1, dtype=np.float32)
    resampled = soxr.resample(mono, rate, sample_rate)
    levels: NDArray[np.int16] = np.clip(np.rint(resampled * 32768.0), -32768, 32767).astype("<i2")
    return levels.tobytes()


def _samples(frames: bytes, width: int) -> NDArray[np.float32]:
    """Convert 8-bit unsigned or 16-, 24- or 32-bit signed little-endian samples to the range -1 to 1."""
    if width == 1:
        return (np.frombuffer(frames, np.uint8).astype(np.float32) - 128.0) / 128.0
    if width == 3:
        padded = np.zeros((len(frames) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(frames, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    return np.frombuffer(frames, f"<i{width}").astype(np.float32) / 2.0 ** (8 * width - 1)
