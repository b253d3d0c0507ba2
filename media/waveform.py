"""How loud a recording is from moment to moment, to draw it."""

import numpy as np
import numpy.typing as npt

from media.whole_recording import WholeRecording

_FULL_SCALE = 32768


def waveform(recording: WholeRecording, points: int) -> list[list[float]]:
    """The loudest sample, 0 to 1, of each of ``points`` equal parts of the call: first the caller's, then the agent's.

    Fewer points if the recording has fewer samples. Reads the whole recording, ten seconds at a time. Blocks.
    """
    samples = recording.samples
    points = min(points, samples)
    loudest = np.zeros((points, 2), np.int32)
    at = 0
    for piece in recording.read(recording.size - recording.samples * 4, recording.size):
        sound = np.abs(np.frombuffer(piece, "<i2").reshape(-1, 2).astype(np.int32))
        first, last = at * points // samples, (at + len(sound) - 1) * points // samples
        begins = np.arange(first, last + 1, dtype=np.int64) * samples
        edges: npt.NDArray[np.int64] = np.maximum(-(-begins // points) - at, 0)
        loudest[first : last + 1] = np.maximum(loudest[first : last + 1], np.maximum.reduceat(sound, edges))
        at += len(sound)
    shown: list[list[float]] = (loudest.T / _FULL_SCALE).round(3).tolist()
    return shown
