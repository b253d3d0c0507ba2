"""Measures gaps: how long a caller heard nothing in the middle of an utterance."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sandbox.caller.report import CallReport

_PATCH_SECONDS = 0.3
_STEP_SECONDS = 0.1
_SEARCHED_SECONDS = 0.5
"""On each side of where a piece of the sound was heard in the call that is compared with."""
_ALIKE = 0.7
_LONGER_PAUSE_SECONDS = 0.2
"""A pause between two sentences may be longer by this much: the jitter buffer stretches silence, inaudibly."""
_SILENCE = 200.0
"""Root mean square of samples, of 32767."""

Sound = NDArray[np.float32]


def websocket_gap(report: CallReport, utterances: int) -> float:
    """Seconds of the longest silence that is in no utterance's sound: the earpiece had nothing to play.

    As many silences as lie between the ``utterances`` are left out, the longest first.
    """
    ends = [piece.at + len(piece.samples) / report.format.sample_rate for piece in report.heard]
    gaps = sorted((after.at - end for end, (_, after) in zip(ends, pairwise(report.heard), strict=False)), reverse=True)
    return max(gaps[max(utterances - 1, 0) :], default=0.0)


def telephone_gap(report: CallReport, calm: CallReport) -> float:
    """Seconds by which the sound of a story was put off at once, at most; ``calm`` is a call with the same sound.

    A telephone is never without sound: silence is sound, too. So each third of a second of the calm call is looked for.
    """
    story, reference = (list(_stories(each)) for each in (report, calm))
    return max((_put_off(one, reference[0]) for one in story), default=0.0)


def _stories(report: CallReport) -> Iterator[Sound]:
    """The sound in the caller's ear, from each question to the next."""
    rate = report.format.sample_rate
    heard = np.zeros(round((report.ended_at + 1) * rate), dtype=np.float32)
    for piece in report.heard:
        first = round(piece.at * rate)
        end = min(first + len(piece.samples), len(heard))
        heard[first:end] = piece.samples[: end - first]
    starts = [said.answered_at for said in report.utterances if said.answered_at is not None]
    ends = [said.started_at for said in report.utterances[1:]] + [report.ended_at]
    for start, end in zip(starts, ends, strict=False):
        yield heard[round(start * rate) : round(end * rate)]


def _put_off(story: Sound, reference: Sound, rate: int = 8000) -> float:
    size, reach = round(_PATCH_SECONDS * rate), round(_SEARCHED_SECONDS * rate)
    runs: list[list[int]] = [[]]
    drift = 0
    for first in range(0, len(reference) - size, round(_STEP_SECONDS * rate)):
        patch = reference[first : first + size]
        if _has_pause(patch, rate):
            runs.append([])
            continue
        at = max(first + drift - reach, 0)
        searched = story[at : at + size + 2 * reach]
        if len(searched) < size:
            break
        likeness = _likeness(searched, patch)
        best = int(likeness.argmax())
        if likeness[best] > _ALIKE:
            drift = at + best - first
            runs[-1].append(drift)
    heard = [run for run in runs if run]
    pauses = [after[0] / rate - run[-1] / rate for run, after in pairwise(heard)]
    late = [pause for pause in pauses if pause > _LONGER_PAUSE_SECONDS]
    return max([0.0, *late, *(_steps(run) / rate for run in heard)])


def _has_pause(patch: Sound, rate: int) -> bool:
    """Whether a third of it is silent, which never happens inside a word."""
    parts = np.array_split(patch, round(_PATCH_SECONDS / _STEP_SECONDS))
    return any(np.sqrt((part**2).mean()) < _SILENCE for part in parts)


def _likeness(searched: Sound, patch: Sound) -> Sound:
    energy = np.sqrt(np.convolve(searched**2, np.ones(len(patch), np.float32), "valid")) + 1
    return np.correlate(searched, patch, "valid") / energy / np.linalg.norm(patch)


def _steps(offsets: Sequence[int]) -> int:
    """The largest step from one patch to one of the next four: a patch with a gap in it is like none."""
    return max((later - offset for i, offset in enumerate(offsets) for later in offsets[i + 1 : i + 5]), default=0)
