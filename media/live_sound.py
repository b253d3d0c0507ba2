"""The sound of a call while it is being recorded, from the end of its segments on, for somebody who listens in.

The owner of the call, in whatever process, appends to its segment several times a second. Reading what it appends
costs the call nothing, and shows nothing that is not kept: a call that is not recorded cannot be heard.
"""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from media.formats import AudioFormat
from media.playout import RECORDED_AFTER_SECONDS, RECORDED_PIECE_SECONDS
from media.segments import (
    CHANNELS,
    FIRST_SOUND,
    RECORD_HEADER_BYTES,
    SEGMENT_SUFFIX,
    Stretch,
    next_record,
    segment_format,
    segment_samples,
)

_SETTLES_SECONDS = RECORDED_AFTER_SECONDS + RECORDED_PIECE_SECONDS + 0.06
"""The newest sound is held back so long, so that both sides are in step: the agent's reaches the disk when it is
certain that the caller has heard it. The rest is for who brings it there, and for timers that are late."""
_FIRST_SECONDS = 0.02
"""How much is read at first, and by a reader who is behind: more would be later than what follows."""
_BEHIND_SECONDS_MAX = 0.6
"""A reader who is further behind than others goes on near the newest sound."""


class LiveBlock(NamedTuple):
    """Sound that follows the previous block, except for what was left out between."""

    skipped_seconds: float
    """Left out before this block, because nobody sent sound for a while, or because the reader was slow."""
    start: float
    """Seconds since the answer."""
    audio: bytes
    """16-bit little-endian stereo: the caller left, the agent right."""


class _Tail:
    """A segment that grows."""

    def __init__(self, file: BinaryIO, audio_format: AudioFormat) -> None:
        self.file = file
        self.format = audio_format
        self._offset = FIRST_SOUND

    def news(self) -> list[tuple[int, Stretch]]:
        """The records, by channel, that have been written whole since the last time. Raises OSError."""
        found: list[tuple[int, Stretch]] = []
        size = os.fstat(self.file.fileno()).st_size
        while self._offset < size:
            record = next_record(self.file, self._offset, size, self.format.sample_bytes)
            if record is None or self._offset + record[2] > size:
                break
            found.append(record[:2])
            self._offset += record[2] + RECORD_HEADER_BYTES
        return found


class LiveSound:
    """Follows the recording of one call. It begins with the newest sound. Everything blocks; one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """``directory`` may not exist yet."""
        self._directory = directory
        self._files = ExitStack()
        self._tails: dict[Path, _Tail] = {}
        self._waiting: list[tuple[_Tail, int, Stretch]] = []
        self._edge = 0
        self._position: int | None = None
        """The first sample that has not been read; None: nothing has."""
        self.sample_rate: int | None = None
        """Hertz; None until there is sound."""

    def read(self, *, is_over: bool = False) -> LiveBlock | None:
        """What can be heard since the last time; None if nothing. ``is_over``: no more comes. Raises OSError."""
        for path in sorted(self._directory.glob(f"*{SEGMENT_SUFFIX}")):
            if path not in self._tails:
                with suppress(FileNotFoundError):
                    self._open(path)
        for tail in self._tails.values():
            for channel, stretch in tail.news():
                self._waiting.append((tail, channel, stretch))
                self._edge = max(self._edge, stretch.end)
        return None if self.sample_rate is None else self._block(self.sample_rate, is_over)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _open(self, path: Path) -> None:
        with ExitStack() as opening:
            file = opening.enter_context(path.open("rb", buffering=0))
            found = segment_format(file)
            if found is not None and self.sample_rate in (None, found[0].sample_rate):
                self.sample_rate = found[0].sample_rate
                self._tails[path] = _Tail(file, found[0])
                self._files.push(opening.pop_all())

    def _block(self, rate: int, is_over: bool) -> LiveBlock | None:
        end = self._edge if is_over else self._edge - round(_SETTLES_SECONDS * rate)
        newest = max(0, end - round(_FIRST_SECONDS * rate))
        known = self._position
        first = newest if known is None else known
        if end <= first:
            return None
        if end - first > (_BEHIND_SECONDS_MAX + (_SETTLES_SECONDS if is_over else 0.0)) * rate:
            first = newest
        block = self._laid(first, end)
        self._position = end
        skipped = 0 if known is None else first - known
        return LiveBlock(skipped / rate, first / rate, block.tobytes())

    def _laid(self, first: int, end: int) -> npt.NDArray[np.int16]:
        block = np.zeros((end - first, len(CHANNELS)), "<i2")
        for tail, channel, stretch in self._waiting:
            begin, stop = max(stretch.start, first), min(stretch.end, end)
            if begin < stop:
                samples = segment_samples(tail.file, stretch, tail.format)
                block[begin - first : stop - first, channel] = samples[begin - stretch.start : stop - stretch.start]
        self._waiting = [waiting for waiting in self._waiting if waiting[2].end > end]
        return block
