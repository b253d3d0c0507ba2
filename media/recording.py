"""Call recordings: both sides go to disk during the call.

Each owner of a call (a process) appends to its own segment file. A process that dies loses only what it had not
written: a quarter of a second, or up to a second after a pause of the caller. A process that takes the call over writes
another segment (:mod:`media.segments`). Time 0 is the answer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from media.arrival import ArrivalOrder
from media.formats import AudioFormat
from media.recording_writer import RecordingWriter, Sound
from media.segments import AGENT, CALLER, segment_header, segment_record
from media.spans import Span

WRITE_SECONDS = 0.125
"""At most this much audio of a side is held back before it is written, and of both sides together twice as much."""
_WAITING_SECONDS = 10.0
"""At most this much audio waits for a slow or full disk. Further audio is dropped and its time becomes a gap."""


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
        record = _Record(self.start, self.end, segment_record(self._tag, self.start, bytes(self._audio)))
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

    Never raises into the call and never waits for the disk: :class:`RecordingWriter` writes eight times a second
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
        self._caller = _Side(CALLER)
        self._agent = _Side(AGENT)
        self._ended_stretches: list[_Record | None] = []
        self._held_samples = 0
        self._last_sample = 0
        self._closed = False
        self._writer = RecordingWriter(
            directory,
            owner,
            segment_header(audio_format),
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
        most = WRITE_SECONDS * self._format.sample_rate
        if side.end - side.start >= most or self._held_samples >= 2 * most:
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
