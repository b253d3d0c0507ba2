"""Call recordings: both sides go to disk during the call, and become a stereo WAV on request.

Each owner of a call (a process) appends to its own segment file. A process that dies loses only what it had not
written: a quarter of a second, or up to a second after a pause of the caller. A process that takes the call over writes
another segment. Time 0 is the answer.

A segment is a header followed by records, little-endian::

    header = magic "VASEG2" | encoding u8 (0 pcm_s16le, 1 mulaw) | rate u32
    record = side "C" or "A" | first sample u64 | bytes u32 | audio

The records of a side are in order and do not overlap. A truncated record ends the file. Files with the magic "VASEG1"
have the same layout; they are older than the notes beside a segment (:mod:`media.recording_writer`).
"""

import heapq
import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from media.arrival import ArrivalOrder
from media.errors import RecordingUnreadable
from media.formats import SAMPLE_RATES, AudioFormat, Encoding
from media.g711 import mulaw_to_pcm
from media.recording_writer import SEGMENT_SUFFIX, RecordingWriter, Sound
from media.spans import Span

_MAGIC = b"VASEG2"
_MAGICS = (_MAGIC, b"VASEG1")
_HEADER = struct.Struct("<6sBI")
_RECORD = struct.Struct("<cQI")
_ENCODINGS: tuple[Encoding, ...] = ("pcm_s16le", "mulaw")
_CALLER, _AGENT = b"C", b"A"
_CHANNELS = {_CALLER: 0, _AGENT: 1}
"""Left and right."""

_WRITE_SECONDS = 0.25
"""At most this much audio, of both sides together, is held back before it is written."""
_WAITING_SECONDS = 10.0
"""At most this much audio waits for a slow or full disk. Further audio is dropped and its time becomes a gap."""
_BLOCK_SECONDS = 10
"""The WAV is produced in blocks of this length, so that a long call needs little memory."""
_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FRAME_BYTES = 4
"""One sample of each side."""
_LONGEST_SAMPLES = (0xFFFFFFFF - 36) // 4
"""A WAV counts its bytes in 32 bits: 37 hours at 8 kHz, 6 hours at 48 kHz. Later audio is left out."""

_Piece = tuple[int, int, npt.NDArray[np.int16]]
"""First sample, channel, audio."""


class _Side:
    """One side's audio that is not written yet: contiguous samples, ``start`` included, ``end`` excluded."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._audio = bytearray()
        self.start = 0
        self.end = 0

    def append(self, audio: bytes, samples: int) -> None:
        self._audio += audio
        self.end += samples

    def take_record(self) -> "_Record | None":
        """Take the audio held back as a record; None if there is none."""
        if not self._audio:
            self.start = self.end
            return None
        record = _Record(self.start, self.end, _RECORD.pack(self._tag, self.start, len(self._audio)) + self._audio)
        self._audio.clear()
        self.start = self.end
        return record


class _Record(NamedTuple):
    """Audio of one side, encoded as in a segment."""

    start: int
    """Samples since the answer."""
    end: int
    content: bytes


class Recorder:
    """Records one owner's part of a call into ``<owner>.seg``, which is created with the first audio.

    Never raises into the call and never waits for the disk: :class:`RecordingWriter` writes every quarter of a second
    in its own thread. Up to ten seconds of audio may wait for the disk; more is dropped, and ``gaps`` says which time
    that was. During the call the segment survives a crash of the process, not of the machine; at the end of the call it
    is synced to the disk.
    """

    def __init__(
        self,
        directory: Path,
        owner: str,
        audio_format: AudioFormat,
        *,
        retry_delay: Callable[[int], float] | None = None,
        on_finished: Callable[["Recorder"], None] | None = None,
    ) -> None:
        """``on_finished`` is called once, in the writer's thread, when nothing more is written after :meth:`close`.

        ``retry_delay`` says how long to wait before a failing disk is tried again; see :class:`RecordingWriter`.
        """
        self._format = audio_format
        self._arrivals = ArrivalOrder(audio_format.sample_rate)
        self._caller = _Side(_CALLER)
        self._agent = _Side(_AGENT)
        self._ended_stretches: list[_Record | None] = []
        self._held_samples = 0
        self._last_sample = 0
        self._closed = False
        self._writer = RecordingWriter(
            directory,
            owner,
            _HEADER.pack(_MAGIC, _ENCODINGS.index(audio_format.encoding), audio_format.sample_rate),
            bytes_waiting_max=round(2 * _WAITING_SECONDS * audio_format.sample_rate * audio_format.sample_bytes),
            retry_delay=retry_delay,
            on_finished=(lambda: on_finished(self)) if on_finished is not None else (lambda: None),
        )

    @property
    def failed(self) -> str | None:
        """Why audio is missing; None while none is."""
        return self._writer.lost

    @property
    def gaps(self) -> list[Span]:
        """The time spans whose audio is missing so far, in seconds since the answer."""
        return self._writer.gaps

    @property
    def trouble(self) -> str | None:
        """What is wrong with the disk now; None if nothing is."""
        return self._writer.trouble

    def caller(self, audio: bytes, at_seconds: float) -> None:
        """Record the caller's audio; ``at_seconds`` is when its first sample arrived, since the answer.

        It follows the audio before it, unless it arrives more than 60 ms later: then there is silence between them, or
        it is the backlog of a stall. Audio from before the answer is left out.
        """
        arrival = round(at_seconds * self._format.sample_rate)
        for start, placed in self._arrivals.place(audio, self._format.samples(audio), arrival):
            self._place(self._caller, placed, start)

    def agent(self, audio: bytes, at_sample: int) -> None:
        """Record the agent's audio, heard at ``at_sample`` since the answer; samples it already has are ignored."""
        self._place(self._agent, audio, at_sample)

    def close(self, ended: float | None = None) -> None:
        """Write what is held back; later audio is ignored. May be called twice.

        ``ended`` is when the call ended, in seconds since the answer; by default it ended with its last audio.
        """
        if not self._closed:
            for start, placed in self._arrivals.flush():
                self._place(self._caller, placed, start)
            self._closed = True
            self._write()
            last = self._last_sample / self._format.sample_rate
            self._writer.close(max(last, ended or 0.0))

    def give_up(self, seconds: float) -> None:
        """Limit how much longer the disk is tried for the rest; call it after :meth:`close`."""
        self._writer.give_up(seconds)

    def join(self, seconds: float | None = None) -> bool:
        """Wait, after :meth:`close`, until nothing more is written; False when ``seconds`` pass first. Blocks."""
        return self._writer.join(seconds)

    def wait_written(self) -> None:
        """Wait until everything that is not held back has been written. Blocks."""
        self._writer.wait_written()

    def _place(self, side: _Side, audio: bytes, start: int) -> None:
        """Put the audio at a sample of the call; the part that the side already has is ignored."""
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
        taken = (*self._ended_stretches, self._caller.take_record(), self._agent.take_record())
        records = [record for record in taken if record is not None]
        self._ended_stretches.clear()
        self._held_samples = 0
        if records:
            first, last = min(record.start for record in records), max(record.end for record in records)
            self._last_sample = max(self._last_sample, last)
            rate = self._format.sample_rate
            self._writer.put(Sound(b"".join(record.content for record in records), first / rate, last / rate))


def recording_exists(directory: Path) -> bool:
    """Whether a call has any recorded audio."""
    return any(path.stat().st_size > _HEADER.size + _RECORD.size for path in directory.glob(f"*{SEGMENT_SUFFIX}"))


def segment_span(path: Path) -> Span | None:
    """The span from the first to the last audio of a segment, in seconds since the answer; None when it has none.

    A segment that is older than the notes counts as covering the whole call. Raises OSError.
    """
    with ExitStack() as files:
        segment = _open_segment(files, path)
        if segment is None:
            return None
        if segment.is_old:
            return 0.0, float("inf")
        stretches = [stretch for side in segment.stretches.values() for stretch in side]
        if not stretches:
            return None
        rate = segment.format.sample_rate
        return min(each.start for each in stretches) / rate, max(each.end for each in stretches) / rate


class WholeRecording:
    """A call as a virtual WAV file: 16-bit stereo, caller left, agent right, at the sample rate of the call.

    The bytes are produced when they are read, in any range. Where two owners have audio for the same moment, the later
    stretch wins. The segments stay open until :meth:`close`, so an erasure meanwhile does not break a read.
    """

    def __init__(self, directory: Path) -> None:
        """Raises RecordingUnreadable when there is no segment, or when segments differ in their sample rate."""
        with ExitStack() as files:
            found = (_open_segment(files, path) for path in sorted(directory.glob(f"*{SEGMENT_SUFFIX}")))
            self._segments = [segment for segment in found if segment]
            rates = {segment.format.sample_rate for segment in self._segments}
            if len(rates) != 1:
                raise RecordingUnreadable("segments of different sample rates" if rates else "there is no recording")
            self._rate = rates.pop()
            sides = (side for segment in self._segments for side in segment.stretches.values())
            self._samples = max((side[-1].end for side in sides if side), default=0)
            self._files = files.pop_all()

    @property
    def samples(self) -> int:
        """Of each side."""
        return self._samples

    @property
    def seconds(self) -> float:
        """From the answer to the last sound."""
        return self._samples / self._rate

    @property
    def size(self) -> int:
        """The size of the file, in bytes."""
        return _WAV.size + self._samples * _FRAME_BYTES

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from ``first`` up to, not including, ``end``, in pieces of at most ten seconds."""
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
        """Close the segments."""
        self._files.close()

    def _header(self) -> bytes:
        audio = self._samples * _FRAME_BYTES
        pcm, channels, bits = 1, 2, 16
        shape = (pcm, channels, self._rate, self._rate * _FRAME_BYTES, _FRAME_BYTES, bits)
        return _WAV.pack(b"RIFF", _WAV.size - 8 + audio, b"WAVE", b"fmt ", 16, *shape, b"data", audio)


class _Stretch(NamedTuple):
    """The place of a record in a segment file."""

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
    """The records in order, by channel, as of when the file was opened; it may be growing."""
    is_old: bool
    """Whether it is older than the notes beside a segment."""

    def pieces(self, channel: int, first: int) -> Iterator[_Piece]:
        """One side's audio from sample ``first`` on, as 16-bit samples, each piece with its position in the call."""
        stretches = self.stretches[channel]
        for stretch in islice(stretches, bisect_right(stretches, first, key=attrgetter("end")), None):
            length = (stretch.end - stretch.start) * self.format.sample_bytes
            audio = os.pread(self.file.fileno(), length, stretch.offset)
            pcm = mulaw_to_pcm(audio) if self.format.encoding == "mulaw" else audio
            yield stretch.start, channel, np.frombuffer(pcm, "<i2")


def _open_segment(files: ExitStack, path: Path) -> _Segment | None:
    """Open a segment; None if its header is incomplete or of another format."""
    file = files.enter_context(path.open("rb", buffering=0))
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, encoding, rate = _HEADER.unpack(header)
    if magic not in _MAGICS or encoding >= len(_ENCODINGS) or rate not in SAMPLE_RATES:
        return None
    audio_format = AudioFormat(_ENCODINGS[encoding], rate)
    return _Segment(file, audio_format, _stretches(file, audio_format.sample_bytes), magic != _MAGIC)


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
    """The wanted samples of the call, in stereo blocks."""
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
