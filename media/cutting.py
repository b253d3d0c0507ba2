"""Cuts pieces of one side out of a recording, as WAV files."""

import io
import wave
from collections.abc import Iterator
from typing import Protocol

import numpy as np

_HEADER_BYTES = 44
_SIDES = 2
_WIDTH = 2
_SILENCE = 2
"""Samples of at most this loudness are none: G.711 has no zero."""


class WavSource(Protocol):
    """A stereo WAV file of 16 bits that can be read in ranges; see :class:`media.whole_recording.WholeRecording`."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from ``first`` up to, not including, ``end``."""


def cut_left(recording: WavSource, begins: float, ends: float) -> bytes | None:
    """The left side between two times in seconds, as a mono WAV file of the same rate; None if there is no sound.

    Blocks: it reads the disk.
    """
    rate = _rate(recording)
    frame = _SIDES * _WIDTH
    first = max(0, round(begins * rate)) * frame
    last = min(round(ends * rate) * frame, recording.size - _HEADER_BYTES)
    if last <= first:
        return None
    audio = b"".join(recording.read(_HEADER_BYTES + first, _HEADER_BYTES + last))
    left = np.frombuffer(audio[: len(audio) // frame * frame], "<i2").reshape(-1, _SIDES)[:, 0]
    if not len(left) or int(np.abs(left.astype(np.int32)).max()) <= _SILENCE:
        return None
    return _wav(left.tobytes(), rate)


def _rate(recording: WavSource) -> int:
    header = b"".join(recording.read(0, _HEADER_BYTES))
    return int.from_bytes(header[24:28], "little")


def _wav(pcm: bytes, rate: int) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(_WIDTH)
        file.setframerate(rate)
        file.writeframes(pcm)
    return written.getvalue()
