"""Says whether a call's recording is complete, and which seconds are missing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from media.recording_notes import NOTES_SUFFIX, Notes, read_notes
from media.segments import SEGMENT_SUFFIX, segment_span
from media.spans import Span, merged, uncovered
from media.whole_recording import recording_exists

RecordingStatus = Literal["complete", "gaps", "failed", "erased", "none"]

UNWRITTEN_SECONDS = 0.25
"""A process that dies has at most this much unwritten audio, and that may be silence."""
_NOTHING_SECONDS = 1.0
"""A shorter call may end before there is any audio."""


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """``complete``: nothing is missing; ``gaps``: some is; ``failed``: all is; ``none``: the call had no audio.

    ``erased``: there was one, and whoever keeps recordings has erased it.
    """

    status: RecordingStatus
    gaps: tuple[Span, ...] = ()
    """The missing time as (from, to) in seconds since the answer; the whole call for ``failed``."""
    has_sound: bool = False


def recording_report(directory: Path, duration: float | None) -> RecordingReport:
    """Inspect the folder of a call; ``duration`` is from the answer to the end, None while the call is live.

    Never raises: a file that cannot be read counts as missing.
    """
    try:
        has_sound = recording_exists(directory)
        names = {path.name for path in directory.iterdir()} if has_sound or directory.is_dir() else set()
        notes = {name: found for name in names if (found := read_notes(directory / name)) is not None}
        spans = list(_spans(directory, names, notes))
    except OSError:
        return RecordingReport("failed", ((0.0, duration or 0.0),))
    gaps = [gap for each in notes.values() for gap in each.gaps]
    if not has_sound:
        is_certain = not gaps and (bool(notes) or (duration or 0.0) < _NOTHING_SECONDS)
        return RecordingReport("none") if is_certain else RecordingReport("failed", ((0.0, duration or 0.0),))
    if duration is not None:
        gaps += uncovered(spans, duration)
    missing = tuple((round(start, 3), round(end, 3)) for start, end in merged(gaps))
    return RecordingReport("gaps" if missing else "complete", missing, has_sound=True)


def _spans(directory: Path, names: set[str], notes: dict[str, Notes]) -> list[Span]:
    """The time spans that the owners covered. The first owner covered the beginning, with or without audio."""
    spans = [(each.began, each.ended) for each in notes.values() if each.ended is not None]
    for name in names:
        noted = notes.get(f"{name.removesuffix(SEGMENT_SUFFIX)}{NOTES_SUFFIX}")
        if name.endswith(SEGMENT_SUFFIX) and (noted is None or noted.ended is None):
            span = segment_span(directory / name)  # its owner died, or is still writing
            if span is not None:
                spans.append((span[0], span[1] + UNWRITTEN_SECONDS))
    spans.sort()
    return [(0.0, spans[0][1]), *spans[1:]] if spans else []
