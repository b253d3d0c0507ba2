"""Makes one compressed file of the segments of a call that has ended, and removes them.

The order is such that a process may die, or the disk fail, at any step: the sound is always there, and once::

    lock ─► write recording.opus.part ─► sync it ─► decode all of it, compare ─► rename it ─► remove the segments

Until the rename, the segments are the recording. After it they are heard over the same sound, until they are removed.
The next attempt goes on from there: the compressed file says which segments it was made of. What cannot be understood
as sound, or does not come back as it was, stays as it is.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from errno import EIO
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from media.compressed import COMPRESSED_NAME, CompressedFile, write_compressed
from media.errors import RecordingUnreadable
from media.recording_notes import NOTES_SUFFIX, Notes, read_notes, write_notes
from media.recording_report import UNWRITTEN_SECONDS
from media.segments import SEGMENT_SUFFIX, Segment, has_audio
from media.whole_recording import WholeRecording, segment_of

_PARTIAL_NAME = f"{COMPRESSED_NAME}.part"
_AUDIBLE = 100.0
"""Standard deviation of 16-bit samples: -50 dBFS. A quieter second need not come back as loud."""
_LOUDNESS_LEAST = 0.5
"""How loud a second must be after decoding, relative to what it was. Speech comes back with 0.98 to 1.01."""

Outcome = Literal["done", "nothing", "busy", "kept"]


@dataclass(frozen=True, slots=True)
class Compression:
    """What came of an attempt.

    ``done``: one compressed file is all there is now; ``nothing``: there is no recording, any more or at all; ``busy``:
    a process still writes a segment, or compresses this recording; ``kept``: the segments stay, for the ``reason``.
    """

    outcome: Outcome
    reason: str | None = None
    bytes_before: int = 0
    bytes_after: int = 0


class _Kept(Exception):
    """The segments must stay."""


def compress_recording(directory: Path) -> Compression:
    """Compress the recording of a call that has ended. Takes a minute of CPU for an hour; safe to repeat.

    Raises OSError: the disk refused something, and another attempt may succeed.
    """
    with ExitStack() as files:
        try:
            folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Compression("nothing")
        files.callback(os.close, folder)
        try:
            flock(folder, LOCK_EX | LOCK_NB)
            (directory / _PARTIAL_NAME).unlink(missing_ok=True)
            return _compress(files, directory, folder)
        except BlockingIOError:
            return Compression("busy")
        except (OSError, _Kept, RecordingUnreadable) as error:
            if not directory.exists():
                return Compression("nothing")  # it was erased meanwhile
            if isinstance(error, OSError):
                raise
            return Compression("kept", str(error))


def _compress(files: ExitStack, directory: Path, folder: int) -> Compression:
    paths = sorted(filter(has_audio, directory.glob(f"*{SEGMENT_SUFFIX}")))
    if not paths:
        is_compressed = (directory / COMPRESSED_NAME).exists()
        return Compression("done" if is_compressed else "nothing")
    whole = WholeRecording(directory)
    files.callback(whole.close)
    segments = [segment_of(whole.segments, path) for path in paths]
    if not whole.samples or not all(segment is not None and segment.is_understood for segment in segments):
        raise _Kept("not all of it can be read as sound")
    for segment in whole.segments:
        flock(segment.file, LOCK_EX | LOCK_NB)
    known = whole.compressed.contents if whole.compressed is not None else {}
    contents = known | {segment.path.name: segment.size for segment in whole.segments}
    if contents != known:
        _replace(directory, whole, contents)
        os.fsync(folder)
    before, after = sum(segment.size for segment in whole.segments), (directory / COMPRESSED_NAME).stat().st_size
    for segment in whole.segments:
        _complete_notes(segment)
    os.fsync(folder)
    for segment in whole.segments:
        _remove(segment)
    os.fsync(folder)
    return Compression("done", bytes_before=before, bytes_after=after)


def _replace(directory: Path, whole: WholeRecording, contents: dict[str, int]) -> None:
    """Put the compressed file in its place once it is certain that it has the sound."""
    partial = directory / _PARTIAL_NAME
    try:
        write_compressed(partial, whole.rate, _while_there(directory, whole), contents)
        _compare(partial, whole)
        partial.replace(directory / COMPRESSED_NAME)
    finally:
        partial.unlink(missing_ok=True)


def _while_there(directory: Path, whole: WholeRecording) -> Iterator[npt.NDArray[np.int16]]:
    """The blocks of the recording. Raises FileNotFoundError as soon as it is erased."""
    for block in whole.blocks(range(whole.samples)):
        directory.stat()
        yield block


def _compare(path: Path, whole: WholeRecording) -> None:
    """Decode all of the file. Raises _Kept if a second is not as loud as in the recording, OSError if it is damaged."""
    try:
        _compare_sound(path, whole)
    except RecordingUnreadable as error:
        raise OSError(EIO, str(error)) from error  # the disk: we have just written it


def _compare_sound(path: Path, whole: WholeRecording) -> None:
    with CompressedFile(path) as compressed:
        if (compressed.samples, compressed.rate) != (whole.samples, whole.rate):
            raise RecordingUnreadable(f"{compressed.samples} samples came back of {whole.samples}")
        at = 0
        for block in _while_there(path.parent, whole):
            back = compressed.read(at, len(block))
            for first in range(0, len(block), whole.rate):
                was, now = (np.std(each[first : first + whole.rate], axis=0) for each in (block, back))
                if np.any((was > _AUDIBLE) & (now < was * _LOUDNESS_LEAST)):
                    raise _Kept(f"the sound does not come back at {(at + first) / whole.rate:.0f} s")
            at += len(block)


def _complete_notes(segment: Segment) -> None:
    """Note of an owner that died how far its segment goes, which soon only the notes can say."""
    path = segment.path.with_suffix(NOTES_SUFFIX)
    notes = read_notes(path) if path.exists() else None
    span = segment.span()
    if span is not None and (notes is None or notes.ended is None):
        write_notes(path, Notes(span[0], span[1] + UNWRITTEN_SECONDS, notes.gaps if notes is not None else ()))


def _remove(segment: Segment) -> None:
    """Remove it, unless its owner has written more after all: then the next attempt takes that in."""
    if os.fstat(segment.file.fileno()).st_size != segment.size:
        raise BlockingIOError
    segment.path.unlink()
