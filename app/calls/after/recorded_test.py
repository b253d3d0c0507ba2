"""A call as a file of tests, with the caller's own sound where the call was recorded."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.journal.scenario import Piece, RecordedCall
from app.models import JournalRow
from media.cutting import cut_left
from media.errors import RecordingUnreadable
from media.whole_recording import WholeRecording


@dataclass(frozen=True, slots=True)
class RecordedTest:
    """What to write."""

    yaml: str
    sounds: Mapping[str, bytes]
    """WAV files by their paths, as the file of tests names them."""


def recorded_test(
    call_id: str, rows: Sequence[JournalRow], recording: Path | None, *, sound_folder: str
) -> RecordedTest:
    """Make the test of a call. Blocks: it reads the disk. Raises ValueError if the caller said nothing.

    ``recording`` is the folder of the call's recording; None to leave the sound out. ``sound_folder`` is the name of
    the folder for the sounds, beside the file of tests.
    """
    call = RecordedCall(call_id, rows)
    cut = {} if recording is None else _cut(recording, call.pieces)
    paths = {piece: f"{sound_folder}/{piece.name}" for piece in cut}
    return RecordedTest(call.written(paths), {paths[piece]: sound for piece, sound in cut.items()})


def _cut(folder: Path, pieces: Sequence[Piece]) -> dict[Piece, bytes]:
    """The pieces that the recording has; none if it cannot be read."""
    found: dict[Piece, bytes] = {}
    with suppress(OSError, RecordingUnreadable):
        whole = WholeRecording(folder)
        try:
            for piece in pieces:
                if (sound := cut_left(whole, piece.begins, piece.ends)) is not None:
                    found[piece] = sound
        finally:
            whole.close()
    return found
