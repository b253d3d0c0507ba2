"""What an owner of a call notes about its part of the recording.

Beside a segment lie its notes, ``<owner>.json``: ``{"began", "ended", "gaps": [[from, to], ...]}`` in seconds since the
answer. ``ended`` is null until nothing more is written. The file is replaced atomically, so a reader never sees half.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from media.spans import Span

NOTES_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Notes:
    """An owner's notes. Seconds since the answer."""

    began: float
    ended: float | None
    """None while its owner writes, and for ever if the owner died."""
    gaps: Sequence[Span]
    """What is missing."""


def read_notes(path: Path) -> Notes | None:
    """Read an owner's notes; None if the file is something else. Raises OSError."""
    if path.suffix != NOTES_SUFFIX:
        return None
    try:
        found = json.loads(path.read_bytes())
        gaps = tuple((float(start), float(end)) for start, end in found["gaps"])
        ended = found["ended"]
        return Notes(float(found["began"]), None if ended is None else float(ended), gaps)
    except (ValueError, TypeError, KeyError):
        return None


def write_notes(path: Path, notes: Notes) -> None:
    """Replace the notes, and sync them to the disk. Raises OSError."""
    written = {
        "began": round(notes.began, 3),
        "ended": None if notes.ended is None else round(notes.ended, 3),
        "gaps": [[round(start, 3), round(end, 3)] for start, end in notes.gaps],
    }
    partial = path.with_suffix(".part")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, json.dumps(written).encode())
        os.fsync(file)
    finally:
        os.close(file)
    partial.replace(path)
