"""The shape of a recording, to draw it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media.formats import AudioFormat
from media.recording import Recorder
from media.waveform import waveform
from media.whole_recording import WholeRecording

RATE = 8000


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[WholeRecording]:
    """25 seconds: the caller speaks in the first, the agent in the last, twice as loud."""
    recorder = Recorder(tmp_path, "worker", AudioFormat("pcm_s16le", RATE))
    recorder.caller(tone(8192), 0.0)
    recorder.agent(tone(16384), 24 * RATE)
    recorder.close()
    assert recorder.join(60)
    whole = WholeRecording(tmp_path)
    yield whole
    whole.close()


def tone(loudness: int) -> bytes:
    return (np.tile([loudness, -loudness], RATE // 2).astype("<i2")).tobytes()


def test_each_side_is_loud_where_it_speaks(recording: WholeRecording) -> None:
    caller, agent = waveform(recording, 25)

    assert recording.seconds == pytest.approx(25, abs=0.1)
    assert caller == pytest.approx([0.25, *[0.0] * 24])
    assert agent == pytest.approx([*[0.0] * 24, 0.5])


@pytest.mark.parametrize("points", [1, 7, 999, 4000])
def test_every_sample_is_in_one_part(recording: WholeRecording, points: int) -> None:
    caller, agent = waveform(recording, points)
    loud = [sum(value > 0 for value in side) for side in (caller, agent)]

    assert (len(caller), len(agent)) == (points, points)
    assert (max(caller), max(agent)) == (0.25, 0.5)
    assert all(points / 25 - 1 <= count <= points / 25 + 2 for count in loud)
