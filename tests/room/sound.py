"""The agent's side of a recording beside what the caller heard."""

import io
import wave

import numpy as np
import soxr
from numpy.typing import NDArray

from sandbox.caller.report import CallReport
from sandbox.caller.span_detector import Span, spans_of

Sound = NDArray[np.float32]

RATE = 8000
_PATCH_SECONDS = 0.15
"""Half the length of the pieces that are compared."""
_SEARCHED_SECONDS = 0.6
_SILENCE = 60.0
"""Root mean square of samples, of 32767."""


def recorded_agent(wav: bytes) -> Sound:
    """The right channel, from the answer on."""
    with wave.open(io.BytesIO(wav)) as recording:
        rate = recording.getframerate()
        samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2").reshape(-1, 2)
    return soxr.resample(samples[:, 1].astype(np.float32), rate, RATE).astype(np.float32)


def heard_agent(report: CallReport) -> Sound:
    """What was in the caller's ear, from ``ready`` on."""
    heard = np.zeros(round((report.ended_at + 1) * RATE), dtype=np.float32)
    for piece in report.heard:
        first = round(piece.at * RATE)
        end = min(first + len(piece.samples), len(heard))
        heard[first:end] = piece.samples[: end - first]
    return heard


def utterances(recorded: Sound) -> tuple[Span, ...]:
    """When the agent speaks."""
    return spans_of(recorded.astype(np.int16), RATE)


def delay_at(moment: float, recorded: Sound, heard: Sound) -> float:
    """By how many seconds the sound around that moment of the recording was heard later; the clocks differ by a bit."""
    first = round((moment - _PATCH_SECONDS) * RATE)
    patch = recorded[first : first + round(2 * _PATCH_SECONDS * RATE)]
    searched = heard[first : first + len(patch) + round(_SEARCHED_SECONDS * RATE)]
    energy = np.sqrt(np.convolve(searched**2, np.ones(len(patch), np.float32), "valid")) + 1
    likeness = np.correlate(searched, patch, "valid") / energy / np.linalg.norm(patch)
    best = int(likeness.argmax())
    assert likeness[best] > 0.75, f"what was recorded at {moment:.2f} s was not heard: {likeness[best]:.2f}"
    return best / RATE


def is_silent(heard: Sound, start: float, end: float) -> bool:
    """Whether nothing was heard from start to end, in seconds since ``ready``."""
    return float(np.sqrt((heard[round(start * RATE) : round(end * RATE)] ** 2).mean())) < _SILENCE
