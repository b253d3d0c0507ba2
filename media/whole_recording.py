"""The recording of a call as one WAV file, whatever it lies on the disk as.

What the owners of the call wrote are segments (:mod:`media.segments`). Some time after the call they become one
compressed file (:mod:`media.compressed`). Where both are there, because the segments are about to be removed or came
later, the segments are heard over the compressed sound.
"""

import heapq
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from media.compressed import COMPRESSED_NAME, CompressedFile
from media.errors import RecordingUnreadable
from media.segments import CHANNELS, SEGMENT_SUFFIX, Piece, Segment, has_audio, open_segment

_BLOCK_SECONDS = 10
"""The sound is produced in blocks of this length, so that a long call needs little memory."""
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FRAME_BYTES = 4
"""One sample of each side."""


def recording_exists(directory: Path) -> bool:
    """Whether a call has any recorded audio. Raises OSError."""
    return (directory / COMPRESSED_NAME).exists() or any(map(has_audio, directory.glob(f"*{SEGMENT_SUFFIX}")))


class WholeRecording:
    """A call as a virtual WAV file: 16-bit stereo, caller left, agent right, at the sample rate of the call.

    The bytes are produced when they are read, in any range. Where two owners have audio for the same moment, the later
    stretch wins. The files stay open until :meth:`close`, so an erasure meanwhile does not break a read.
    """

    def __init__(self, directory: Path) -> None:
        """Raises OSError, or RecordingUnreadable: there is no file, one is damaged, or their sample rates differ."""
        with ExitStack() as files:
            found = (open_segment(files, path) for path in sorted(directory.glob(f"*{SEGMENT_SUFFIX}")))
            self.segments = [segment for segment in found if segment]
            """What is not compressed yet, or not removed yet."""
            self.compressed = _compressed(files, directory)  # last: before a segment is removed, this is there
            self.rate = self._common_rate()
            """Hertz."""
            sides = (side for segment in self.segments for side in segment.stretches.values())
            compressed_samples = self.compressed.samples if self.compressed else 0
            self.samples = max(chain((side[-1].end for side in sides if side), [compressed_samples]))
            """Of each side, from the answer to the last sound."""
            self._files = files.pop_all()

    @property
    def seconds(self) -> float:
        """From the answer to the last sound."""
        return self.samples / self.rate

    @property
    def size(self) -> int:
        """The size of the file, in bytes."""
        return _WAV.size + self.samples * _FRAME_BYTES

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from ``first`` up to, not including, ``end``, in pieces of at most ten seconds.

        Raises OSError, or RecordingUnreadable if a file turns out to be damaged.
        """
        if first < _WAV.size:
            yield self._header()[first:end]
        begin, stop = max(first - _WAV.size, 0), end - _WAV.size
        if stop <= begin:
            return
        samples = range(begin // _FRAME_BYTES, -(-stop // _FRAME_BYTES))
        at = samples.start * _FRAME_BYTES
        for block in self.blocks(samples):
            yield block.tobytes()[max(begin - at, 0) : stop - at]
            at += block.size * block.itemsize

    def blocks(self, wanted: range) -> Iterator[npt.NDArray[np.int16]]:
        """The wanted samples of the call, in stereo blocks of at most ten seconds. Raises as :meth:`read`."""
        sides = [segment.pieces(channel, wanted.start) for segment in self.segments for channel in CHANNELS.values()]
        coming = heapq.merge(*sides, key=itemgetter(0))
        piece = next(coming, None)
        overlapping: list[Piece] = []
        block_samples = self.rate * _BLOCK_SECONDS
        for first in wanted[::block_samples]:
            block = self._beneath(first, min(block_samples, wanted.stop - first))
            while piece and piece[0] < first + len(block):
                overlapping.append(piece)
                piece = next(coming, None)
            overlapping = [kept for kept in overlapping if kept[0] + len(kept[2]) > first]
            for start, channel, audio in overlapping:
                begin, end = max(start, first), min(start + len(audio), first + len(block))
                block[begin - first : end - first, channel] = audio[begin - start : end - start]
            yield block

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _beneath(self, first: int, samples: int) -> npt.NDArray[np.int16]:
        """What the segments are laid over."""
        block = np.zeros((samples, len(CHANNELS)), "<i2")
        if self.compressed is not None and first < self.compressed.samples:
            sound = self.compressed.read(first, samples)
            block[: len(sound)] = sound
        return block

    def _common_rate(self) -> int:
        rates = {segment.format.sample_rate for segment in self.segments}
        if self.compressed is not None:
            rates.add(self.compressed.rate)
        if len(rates) != 1:
            raise RecordingUnreadable("segments of different sample rates" if rates else "there is no recording")
        return rates.pop()

    def _header(self) -> bytes:
        audio = self.samples * _FRAME_BYTES
        pcm, channels, bits = 1, 2, 16
        shape = (pcm, channels, self.rate, self.rate * _FRAME_BYTES, _FRAME_BYTES, bits)
        return _WAV.pack(b"RIFF", _WAV.size - 8 + audio, b"WAVE", b"fmt ", 16, *shape, b"data", audio)


def segment_of(segments: list[Segment], path: Path) -> Segment | None:
    """The segment that was opened from that path."""
    return next((segment for segment in segments if segment.path == path), None)


def _compressed(files: ExitStack, directory: Path) -> CompressedFile | None:
    try:
        return files.enter_context(CompressedFile(directory / COMPRESSED_NAME))
    except FileNotFoundError:
        return None
