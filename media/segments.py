"""The files of a recording, as the owners of the call write them: their format, and the sound in them.

A segment is a header followed by records, little-endian::

    header = magic "VASEG2" | encoding u8 (0 pcm_s16le, 1 mulaw) | rate u32
    record = side "C" or "A" | first sample u64 | bytes u32 | audio

The records of a side are in order and do not overlap. A truncated record ends the file. Files with the magic "VASEG1"
have the same layout; they are older than the notes beside a segment (:mod:`media.recording_notes`).
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from media.formats import SAMPLE_RATES, AudioFormat, Encoding
from media.g711 import mulaw_to_pcm
from media.spans import Span

SEGMENT_SUFFIX = ".seg"
CALLER, AGENT = b"C", b"A"
CHANNELS = {CALLER: 0, AGENT: 1}
"""Left and right."""
LONGEST_SAMPLES = (0xFFFFFFFF - 36) // 4
"""A WAV counts its bytes in 32 bits: 37 hours at 8 kHz, 6 hours at 48 kHz. Later audio is left out."""

_MAGIC = b"VASEG2"
_MAGICS = (_MAGIC, b"VASEG1")
_HEADER = struct.Struct("<6sBI")
_RECORD = struct.Struct("<cQI")
RECORD_HEADER_BYTES = _RECORD.size
FIRST_SOUND = _HEADER.size + _RECORD.size
"""Bytes into a segment."""
_ENCODINGS: tuple[Encoding, ...] = ("pcm_s16le", "mulaw")

Piece = tuple[int, int, npt.NDArray[np.int16]]
"""First sample, channel, audio."""


class Stretch(NamedTuple):
    """The place of a record in a segment file."""

    start: int
    """Samples since the answer."""
    end: int
    offset: int
    """Bytes into the file."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One owner's file, as of when it was opened; it may be growing."""

    path: Path
    file: BinaryIO
    size: int
    format: AudioFormat
    stretches: Mapping[int, list[Stretch]]
    """The records in order, by channel."""
    is_old: bool
    """Whether it is older than the notes beside a segment."""
    is_understood: bool
    """Whether all of it can be heard, as far as it was written: no byte is left over that may have been sound."""

    def pieces(self, channel: int, first: int) -> Iterator[Piece]:
        """One side's audio from sample ``first`` on, as 16-bit samples, each piece with its position in the call."""
        stretches = self.stretches[channel]
        for stretch in islice(stretches, bisect_right(stretches, first, key=attrgetter("end")), None):
            yield stretch.start, channel, segment_samples(self.file, stretch, self.format)

    def span(self) -> Span | None:
        """From the first to the last audio, in seconds since the answer; None when there is none.

        A segment that is older than the notes counts as covering the whole call.
        """
        if self.is_old:
            return 0.0, float("inf")
        stretches = [stretch for side in self.stretches.values() for stretch in side]
        if not stretches:
            return None
        rate = self.format.sample_rate
        return min(each.start for each in stretches) / rate, max(each.end for each in stretches) / rate


def segment_header(audio_format: AudioFormat) -> bytes:
    """The first bytes of a segment."""
    return _HEADER.pack(_MAGIC, _ENCODINGS.index(audio_format.encoding), audio_format.sample_rate)


def segment_record(side: bytes, start: int, audio: bytes) -> bytes:
    """One side's audio from the sample ``start`` on, as it is written into a segment."""
    return _RECORD.pack(side, start, len(audio)) + audio


def has_audio(path: Path) -> bool:
    """Whether a segment has more than its header. Raises OSError."""
    return path.stat().st_size > FIRST_SOUND


def open_segment(files: ExitStack, path: Path) -> Segment | None:
    """Open a segment; None if its header is incomplete or of another format. Raises OSError."""
    file = files.enter_context(path.open("rb", buffering=0))
    found = segment_format(file)
    if found is None:
        return None
    audio_format, is_old = found
    size = os.fstat(file.fileno()).st_size
    stretches, is_understood = _stretches(file, size, audio_format.sample_bytes)
    return Segment(path, file, size, audio_format, stretches, is_old, is_understood)


def segment_format(file: BinaryIO) -> tuple[AudioFormat, bool] | None:
    """The format of a segment's sound, and whether it is older than the notes beside a segment. Raises OSError.

    None if the header is incomplete or of another format.
    """
    header = os.pread(file.fileno(), _HEADER.size, 0)
    if len(header) < _HEADER.size:
        return None
    magic, encoding, rate = _HEADER.unpack(header)
    if magic not in _MAGICS or encoding >= len(_ENCODINGS) or rate not in SAMPLE_RATES:
        return None
    return AudioFormat(_ENCODINGS[encoding], rate), magic != _MAGIC


def segment_samples(file: BinaryIO, stretch: Stretch, audio_format: AudioFormat) -> npt.NDArray[np.int16]:
    """The sound of a record, as 16-bit samples. Raises OSError."""
    audio = os.pread(file.fileno(), (stretch.end - stretch.start) * audio_format.sample_bytes, stretch.offset)
    return np.frombuffer(mulaw_to_pcm(audio) if audio_format.encoding == "mulaw" else audio, "<i2")


def next_record(file: BinaryIO, offset: int, size: int, sample_bytes: int) -> tuple[int, Stretch, int] | None:
    """The record whose sound begins at byte ``offset``: its channel, its place, and how many bytes its sound will have.

    ``size`` is how much of the file there is: the place covers what has been written. None for what is no record.
    Raises OSError.
    """
    tag, start, length = _RECORD.unpack(os.pread(file.fileno(), _RECORD.size, offset - _RECORD.size))
    if tag not in CHANNELS:
        return None
    return CHANNELS[tag], Stretch(start, start + min(length, size - offset) // sample_bytes, offset), length


def segment_span(path: Path) -> Span | None:
    """The span of a segment, as :meth:`Segment.span` says; None also for what is no segment. Raises OSError."""
    with ExitStack() as files:
        segment = open_segment(files, path)
        return segment.span() if segment is not None else None


def _stretches(file: BinaryIO, size: int, sample_bytes: int) -> tuple[dict[int, list[Stretch]], bool]:
    found: dict[int, list[Stretch]] = {channel: [] for channel in CHANNELS.values()}
    offset, is_understood = FIRST_SOUND, True
    while offset < size:
        record = next_record(file, offset, size, sample_bytes)
        if record is None:
            return found, False
        channel, stretch, length = record
        if stretch.end <= LONGEST_SAMPLES:
            found[channel].append(stretch)
        else:
            is_understood = False
        offset += length + RECORD_HEADER_BYTES
    return found, is_understood
