"""Both sides of a call on disk, written as the call goes and put together when somebody wants to hear it.

Each owner of a call (a process) appends to a segment file of its own, so a process that dies loses only what it had not
written: a quarter of a second, or less than a second behind a pause of the caller. Whoever takes over shares nothing
with it. Time 0 is the answer.

A segment is a header and records: ``header = magic "VASEG1" | encoding u8 (0 pcm_s16le, 1 mulaw) | rate u32``,
``record = side "C" or "A" | first sample u64 | bytes u32 | audio``, little-endian; the records of a side are in order
and do not overlap. A record that is cut short ends the file.
"""

import heapq
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from media.arrival import ArrivalOrder
from media.errors import RecordingUnreadable
from media.formats import SAMPLE_RATES, AudioFormat, Encoding
from media.g711 import mulaw_to_pcm

_SUFFIX = ".seg"
_MAGIC = b"VASEG1"
_HEADER = struct.Struct("<6sBI")
_RECORD = struct.Struct("<cQI")
_ENCODINGS: tuple[Encoding, ...] = ("pcm_s16le", "mulaw")
_CALLER, _AGENT = b"C", b"A"
_CHANNELS = {_CALLER: 0, _AGENT: 1}
"""Left, right."""

_WRITE_SECONDS = 0.25
"""So much audio, of both sides together, is held back at most."""
_BLOCK_SECONDS = 10
"""The WAV is made in pieces of this length, so that a long call needs little memory."""
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FRAME_BYTES = 4
"""A sample of both sides."""
_LONGEST_SAMPLES = (0xFFFFFFFF - 36) // 4
"""A WAV counts its bytes in 32 bits: 37 hours at 8 kHz, 6 at 48 kHz. What is later is left out."""

_Piece = tuple[int, int, npt.NDArray[np.int16]]
"""First sample, channel, audio."""


class _Side:
    """One side's audio that is not written yet: contiguous, from sample ``start`` to before ``end``."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._audio = bytearray()
        self.start = 0
        self.end = 0

    def append(self, audio: bytes, samples: int) -> None:
        self._audio += audio
        self.end += samples

    def take_record(self) -> bytes:
        """What is held back, as a record; nothing if there is nothing."""
        record = _RECORD.pack(self._tag, self.start, len(self._audio)) + self._audio if self._audio else b""
        self._audio.clear()
        self.start = self.end
        return record


class Recorder:
    """Writes one owner's segment of a call, into a file ``<owner>.seg`` that begins with the first audio.

    Never raises into the call: when the disk fails it stops, and ``failed`` says why. A write is one system call each
    quarter of a second; nothing is forced onto the disk, so the segment outlives the process, not the machine.
    """

    def __init__(self, directory: Path, owner: str, audio_format: AudioFormat) -> None:
        self._directory = directory
        self._owner = owner
        self._format = audio_format
        self._arrivals = ArrivalOrder(audio_format.sample_rate)
        self._caller = _Side(_CALLER)
        self._agent = _Side(_AGENT)
        self._ended_stretches: list[bytes] = []
        self._held_samples = 0
        self._file: int | None = None
        self._closed = False
        self.failed: str | None = None
        """Why nothing is written any more."""

    def caller(self, audio: bytes, at_seconds: float) -> None:
        """The caller's audio, and when its first sample came, in seconds since the answer.

        It follows the audio before it, unless it comes more than 60 ms later: then there is silence between, or the
        backlog of a stall. What came before the answer is left out.
        """
        arrival = round(at_seconds * self._format.sample_rate)
        for start, placed in self._arrivals.place(audio, self._format.samples(audio), arrival):
            self._place(self._caller, placed, start)

    def agent(self, audio: bytes, at_sample: int) -> None:
        """The agent's audio, and the sample since the answer at which it is heard; what is told twice counts once."""
        self._place(self._agent, audio, at_sample)

    def close(self) -> None:
        """Write what is held back; what comes after this is left out. May be called twice."""
        if not self._closed:
            for start, placed in self._arrivals.flush():
                self._place(self._caller, placed, start)
            self._closed = True
            self._write()
            self._close_file()

    def _place(self, side: _Side, audio: bytes, start: int) -> None:
        """Put the audio at a sample of the call, as far as that sample is not behind what the side has."""
        if self._closed:
            return
        sample_bytes = self._format.sample_bytes
        known = max(0, side.end - start)
        samples = self._format.samples(audio) - known
        if samples <= 0:
            return
        if start > side.end:
            self._ended_stretches.append(side.take_record())
            side.start = side.end = start
        side.append(audio[known * sample_bytes : (known + samples) * sample_bytes], samples)
        self._held_samples += samples
        if self._held_samples >= _WRITE_SECONDS * self._format.sample_rate:
            self._write()

    def _write(self) -> None:
        records = b"".join((*self._ended_stretches, self._caller.take_record(), self._agent.take_record()))
        self._ended_stretches.clear()
        self._held_samples = 0
        try:
            if records and self._file is None:
                self._file = self._open_file()
                records = self._header() + records
            while records and self._file is not None:
                records = records[os.write(self._file, records) :]
        except OSError as error:
            self._fail(error)

    def _header(self) -> bytes:
        return _HEADER.pack(_MAGIC, _ENCODINGS.index(self._format.encoding), self._format.sample_rate)

    def _open_file(self) -> int:
        """A new file always: the old one of the same owner may end in the middle of a record."""
        self._directory.mkdir(parents=True, exist_ok=True)
        names = (f"{self._owner}{f'.{number}' if number else ''}{_SUFFIX}" for number in count())
        path = next(path for name in names if not (path := self._directory / name).exists())
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def _close_file(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                os.close(file)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failed = error.strerror or type(error).__name__
        self._closed = True
        self._close_file()


def recording_exists(directory: Path) -> bool:
    """Whether a call has any recorded audio."""
    return any(path.stat().st_size > _HEADER.size + _RECORD.size for path in directory.glob(f"*{_SUFFIX}"))


class WholeRecording:
    """A call as a file WAV that is on no disk: 16-bit, stereo, caller left, agent right, at the rate of the call.

    Any piece of it is made when it is read, and costs what it holds. Where two owners have audio for the same moment,
    the later stretch is heard. What it is made of stays open until :meth:`close`, should the call be erased meanwhile.
    """

    def __init__(self, directory: Path) -> None:
        """Raises RecordingUnreadable when there is no segment, or when segments differ in their rate."""
        with ExitStack() as files:
            found = (_open_segment(files, path) for path in sorted(directory.glob(f"*{_SUFFIX}")))
            self._segments = [segment for segment in found if segment]
            rates = {segment.format.sample_rate for segment in self._segments}
            if len(rates) != 1:
                raise RecordingUnreadable("segments of different sample rates" if rates else "there is no recording")
            self._rate = rates.pop()
            sides = (side for segment in self._segments for side in segment.stretches.values())
            self._samples = max((side[-1].end for side in sides if side), default=0)
            self._files = files.pop_all()

    @property
    def size(self) -> int:
        """Bytes."""
        return _WAV.size + self._samples * _FRAME_BYTES

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from ``first`` to before ``end``, in pieces of ten seconds at most."""
        if first < _WAV.size:
            yield self._header()[first:end]
        begin, stop = max(first - _WAV.size, 0), end - _WAV.size
        if stop <= begin:
            return
        samples = range(begin // _FRAME_BYTES, -(-stop // _FRAME_BYTES))
        at = samples.start * _FRAME_BYTES
        for block in _blocks(self._segments, samples, self._rate * _BLOCK_SECONDS):
            yield block[max(begin - at, 0) : stop - at]
            at += len(block)

    def close(self) -> None:
        """Nothing is read any more."""
        self._files.close()

    def _header(self) -> bytes:
        audio = self._samples * _FRAME_BYTES
        pcm, channels, bits = 1, 2, 16
        shape = (pcm, channels, self._rate, self._rate * _FRAME_BYTES, _FRAME_BYTES, bits)
        return _WAV.pack(b"RIFF", _WAV.size - 8 + audio, b"WAVE", b"fmt ", 16, *shape, b"data", audio)


class _Stretch(NamedTuple):
    """A record as it lies in a segment."""

    start: int
    """Samples since the answer."""
    end: int
    offset: int
    """Bytes into the file."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """One owner's file."""

    file: BinaryIO
    format: AudioFormat
    stretches: Mapping[int, list[_Stretch]]
    """The records as far as they were there when it was opened, in order, by channel; it may be growing."""

    def pieces(self, channel: int, first: int) -> Iterator[_Piece]:
        """One side's audio from sample ``first`` on, as 16-bit samples, each piece with its place in the call."""
        stretches = self.stretches[channel]
        for stretch in islice(stretches, bisect_right(stretches, first, key=attrgetter("end")), None):
            length = (stretch.end - stretch.start) * self.format.sample_bytes
            audio = os.pread(self.file.fileno(), length, stretch.offset)
            pcm = mulaw_to_pcm(audio) if self.format.encoding == "mulaw" else audio
            yield stretch.start, channel, np.frombuffer(pcm, "<i2")


def _open_segment(files: ExitStack, path: Path) -> _Segment | None:
    """None if the file ended before its header did, or is something else."""
    file = files.enter_context(path.open("rb", buffering=0))
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, encoding, rate = _HEADER.unpack(header)
    if magic != _MAGIC or encoding >= len(_ENCODINGS) or rate not in SAMPLE_RATES:
        return None
    audio_format = AudioFormat(_ENCODINGS[encoding], rate)
    return _Segment(file, audio_format, _stretches(file, audio_format.sample_bytes))


def _stretches(file: BinaryIO, sample_bytes: int) -> dict[int, list[_Stretch]]:
    found: dict[int, list[_Stretch]] = {channel: [] for channel in _CHANNELS.values()}
    size, offset = os.fstat(file.fileno()).st_size, _HEADER.size + _RECORD.size
    while offset < size:
        tag, start, length = _RECORD.unpack(os.pread(file.fileno(), _RECORD.size, offset - _RECORD.size))
        if tag not in _CHANNELS:
            break
        end = start + min(length, size - offset) // sample_bytes
        if end <= _LONGEST_SAMPLES:
            found[_CHANNELS[tag]].append(_Stretch(start, end, offset))
        offset += length + _RECORD.size
    return found


def _blocks(segments: list[_Segment], wanted: range, block_samples: int) -> Iterator[bytes]:
    """Those samples of the call, in stereo blocks."""
    sides = [segment.pieces(channel, wanted.start) for segment in segments for channel in _CHANNELS.values()]
    coming = heapq.merge(*sides, key=itemgetter(0))
    piece = next(coming, None)
    overlapping: list[_Piece] = []
    for first in wanted[::block_samples]:
        block = np.zeros((min(block_samples, wanted.stop - first), 2), "<i2")
        while piece and piece[0] < first + len(block):
            overlapping.append(piece)
            piece = next(coming, None)
        overlapping = [kept for kept in overlapping if kept[0] + len(kept[2]) > first]
        for start, channel, audio in overlapping:
            begin, end = max(start, first), min(start + len(audio), first + len(block))
            block[begin - first : end - first, channel] = audio[begin - start : end - start]
        yield block.tobytes()
